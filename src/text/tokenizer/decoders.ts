import { byteOfCharacter, bytesOf } from "./bytes.ts";
import type { Component } from "./component.ts";
import { patternOf } from "./pattern.ts";
import { schemeOf } from "./pre-tokenizers.ts";

/** Makes of tokens the parts of a text. */
export type Decode = (tokens: readonly string[]) => readonly string[];

/** Bytes that are no text come out as U+FFFD. A mark of byte order is kept: it is a character that the model wrote. */
const lossy = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

const byteLevel: Decode = (tokens) => {
  const bytes = tokens.flatMap((token) => {
    const own = [...token].map((c) => byteOfCharacter.get(c));
    return own.every((b) => b !== undefined) ? own : [...bytesOf(token)];
  });
  return [lossy.decode(Uint8Array.from(bytes))];
};

/** Tokens of bytes in a row are a text, or as many U+FFFD as there are bytes. */
const byteFallback: Decode = (tokens) => {
  const parts: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length > 0) parts.push(textOf(bytes));
    bytes = [];
  };
  for (const token of tokens) {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
    if (byte !== undefined) bytes.push(Number.parseInt(byte, 16));
    else {
      flush();
      parts.push(token);
    }
  }
  flush();
  return parts;
};

function textOf(bytes: readonly number[]): string {
  try {
    return strict.decode(Uint8Array.from(bytes));
  } catch {
    return "\uFFFD".repeat(bytes.length);
  }
}

/** How English is written, of tokens that spaces were put before. */
const cleanUps: readonly (readonly [from: string, to: string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** How many of the first `most` characters are this one. */
function leading(characters: readonly string[], content: string, most: number): number {
  const other = characters.slice(0, most).findIndex((c) => c !== content);
  return other < 0 ? Math.min(most, characters.length) : other;
}

/** The decoders of Hugging Face's tokenizers by their types. */
const table: Readonly<Record<string, (component: Component) => Decode>> = {
  BPEDecoder: (component) => {
    const suffix = component.text("suffix", "</w>");
    return (tokens) => tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? "" : " "));
  },
  ByteFallback: () => byteFallback,
  ByteLevel: () => byteLevel,
  Fuse: () => (tokens) => [tokens.join("")],
  Metaspace: (component) => {
    const [replacement, keepsFirst] = [component.text("replacement"), schemeOf(component) === "never"];
    return (tokens) => tokens.map((token, i) => token.replaceAll(replacement, i === 0 && !keepsFirst ? "" : " "));
  },
  Replace: (component) => {
    const [pattern, content] = [patternOf(component), component.text("content")];
    return (tokens) => tokens.map((token) => token.replace(pattern, () => content));
  },
  Sequence: (component) => {
    const all = component.parts("decoders").map(decoder);
    return (tokens) => all.reduce((t, decode) => decode(t), tokens);
  },
  Strip: (component) => {
    const [content, start, stop] = [component.text("content"), component.count("start"), component.count("stop")];
    return (tokens) =>
      tokens.map((token) => {
        const rest = [...token].slice(leading([...token], content, start));
        return rest.slice(0, rest.length - leading(rest.toReversed(), content, stop)).join("");
      });
  },
  WordPiece: (component) => {
    const [prefix, clean] = [component.text("prefix"), component.flag("cleanup")];
    return (tokens) =>
      tokens.map((token, i) => {
        const text = i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
        return clean ? cleanUps.reduce((t, [from, to]) => t.replaceAll(from, to), text) : text;
      });
  },
};

/** @throws EspalierError INVALID_TOKENIZER, UNSUPPORTED_TOKENIZER */
export const decoder = (component: Component): Decode => component.choose(table)(component);
