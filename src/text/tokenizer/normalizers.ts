import { byteCharacters } from "./bytes.ts";
import type { Component } from "./component.ts";
import { patternOf } from "./pattern.ts";
import { precompiled } from "./precompiled.ts";

/** Makes of a text what is cut into tokens. */
export type Normalize = (text: string) => string;

/** Lower case character by character: it does not depend on what is around it, as that of a final sigma would. */
const lower: Normalize = (text) => [...text].map((c) => c.toLowerCase()).join("");

const [leading, trailing] = [/^\p{White_Space}+/u, /\p{White_Space}+$/u];

/** Ideographs, by blocks. The sixth begins where the original means to: its own code has 2B920 for 2B820. */
const ideograph =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu;

/** Of the control characters, those that models of translation drop. */
const isDropped = (code: number): boolean => (code < 0x20 && ![0, 9, 10, 12, 13].includes(code)) || [0x7f, 0x8f, 0x9f].includes(code);

function bert(component: Component): Normalize {
  const [clean, spread, small] = ["clean_text", "handle_chinese_chars", "lowercase"].map((name) => component.flag(name));
  const bare = component.has("strip_accents") ? component.flag("strip_accents") : small;
  return (text) => {
    let out = text;
    if (clean) out = out.replace(/(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\uFFFD]/gu, "").replace(/\p{White_Space}/gu, " ");
    if (spread) out = out.replace(ideograph, " $& ");
    if (bare) out = out.normalize("NFD").replace(/\p{Mn}/gu, "");
    return small ? lower(out) : out;
  };
}

/** The normalizers of Hugging Face's tokenizers by their types. */
const table: Readonly<Record<string, (component: Component) => Normalize>> = {
  BertNormalizer: bert,
  ByteLevel: () => byteCharacters,
  Lowercase: () => lower,
  NFC: () => (text) => text.normalize("NFC"),
  NFD: () => (text) => text.normalize("NFD"),
  NFKC: () => (text) => text.normalize("NFKC"),
  NFKD: () => (text) => text.normalize("NFKD"),
  Nmt: () => (text) =>
    text
      .replace(/\p{Cc}/gu, (c) => (isDropped(c.charCodeAt(0)) ? "" : c))
      .replace(/[\t\n\f\r\u1680\u200B-\u200F\u2028\u2029\u2581\uFEFF\uFFFD]/gu, " "),
  Precompiled: precompiled,
  Prepend: (component) => {
    const before = component.text("prepend");
    return (text) => (text === "" ? text : before + text);
  },
  Replace: (component) => {
    const [pattern, content] = [patternOf(component), component.text("content")];
    return (text) => text.replace(pattern, () => content);
  },
  Sequence: (component) => {
    const all = component.parts("normalizers").map(normalizer);
    return (text) => all.reduce((t, normalize) => normalize(t), text);
  },
  Strip: (component) => {
    const [left, right] = [component.flag("strip_left"), component.flag("strip_right")];
    return (text) => {
      const rest = left ? text.replace(leading, "") : text;
      return right ? rest.replace(trailing, "") : rest;
    };
  },
  StripAccents: () => (text) => text.replace(/\p{M}/gu, ""),
};

/** @throws EspalierError INVALID_TOKENIZER, UNSUPPORTED_TOKENIZER */
export const normalizer = (component: Component): Normalize => component.choose(table)(component);
