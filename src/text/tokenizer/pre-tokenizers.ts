import { codePointOf } from "../code-point.ts";
import { byteCharacters } from "./bytes.ts";
import type { Component } from "./component.ts";
import { patternOf } from "./pattern.ts";
import { behaviorOf, split } from "./split.ts";

/** Cuts a text into words, which no token crosses. `first`: whether it begins the whole text. */
export type PreTokenize = (text: string, first: boolean) => string[];

const gpt2 =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const space = /\p{White_Space}/gu;
const punctuation = /[\p{P}!-/:-@[-`{-~]/gu;
/** Of Rust's regular expressions, where a joiner is part of a word. */
export const rustWord = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";
const words = new RegExp(`${rustWord}+|[^\\p{White_Space}${rustWord}]+`, "gv");
const character = (c: string): RegExp => new RegExp(`\\u{${codePointOf(c).toString(16)}}`, "gv");

const oneCharacter = (component: Component, name: string, otherwise?: string): string => {
  const text = component.text(name, otherwise);
  if ([...text].length !== 1) throw component.invalid(`"${name}" must be one character`);
  return text;
};

const schemes = ["always", "first", "never"] as const;

function metaspace(component: Component): PreTokenize {
  const replacement = oneCharacter(component, "replacement");
  const [mark, cut] = [character(replacement), component.flag("split", true)];
  const scheme = schemeOf(component);
  return (text, first) => {
    let out = text.replaceAll(" ", replacement);
    if ((scheme === "always" || (scheme === "first" && first)) && !out.startsWith(replacement)) out = replacement + out;
    return cut ? split(out, mark, "MergedWithNext") : [out];
  };
}

/** Whether a space is put before a text: each, the first, or none. */
export function schemeOf(component: Component): (typeof schemes)[number] {
  const scheme = schemes.find((s) => s === component.text("prepend_scheme", "always"));
  if (!scheme) throw component.invalid(`"prepend_scheme" must be one of ${schemes.join(", ")}`);
  if (!component.flag("add_prefix_space", true) && scheme !== "never")
    throw component.invalid('"add_prefix_space" and "prepend_scheme" say different things');
  return scheme;
}

/** The pre-tokenizers of Hugging Face's tokenizers by their types. */
const table: Readonly<Record<string, (component: Component) => PreTokenize>> = {
  BertPreTokenizer: () => (text) => split(text, space, "Removed").flatMap((part) => split(part, punctuation, "Isolated")),
  ByteLevel: (component) => {
    const [prefix, cut] = [component.flag("add_prefix_space"), component.flag("use_regex", true)];
    return (text) => {
      const whole = prefix && !text.startsWith(" ") ? ` ${text}` : text;
      return (cut ? split(whole, gpt2, "Isolated") : [whole]).map(byteCharacters);
    };
  },
  CharDelimiterSplit: (component) => {
    const delimiter = character(oneCharacter(component, "delimiter"));
    return (text) => split(text, delimiter, "Removed");
  },
  Digits: (component) => {
    const behavior = component.flag("individual_digits") ? "Isolated" : "Contiguous";
    return (text) => split(text, /\p{N}/gu, behavior);
  },
  FixedLength: (component) => {
    const length = component.count("length");
    if (length === 0) throw component.invalid('"length" must be at least 1');
    return (text) => {
      const characters = [...text];
      return Array.from({ length: Math.ceil(characters.length / length) }, (_, i) =>
        characters.slice(i * length, (i + 1) * length).join(""),
      );
    };
  },
  Metaspace: metaspace,
  Punctuation: (component) => {
    const behavior = behaviorOf(component, "Isolated");
    return (text) => split(text, punctuation, behavior);
  },
  Sequence: (component) => {
    const all = component.parts("pretokenizers").map(preTokenizer);
    return (text, first) => {
      let parts = [text];
      // What follows the first word does not begin the text, nor does that after white space which was removed.
      for (const cut of all) parts = parts.flatMap((part, i) => cut(part, first && i === 0 && text.startsWith(part)));
      return parts;
    };
  },
  Split: (component) => {
    const [pattern, behavior, invert] = [patternOf(component), behaviorOf(component), component.flag("invert", false)];
    return (text) => split(text, pattern, behavior, invert);
  },
  Whitespace: () => (text) => text.match(words) ?? [],
  WhitespaceSplit: () => (text) => split(text, space, "Removed"),
};

/** @throws EspalierError INVALID_TOKENIZER, UNSUPPORTED_TOKENIZER */
export const preTokenizer = (component: Component): PreTokenize => component.choose(table)(component);
