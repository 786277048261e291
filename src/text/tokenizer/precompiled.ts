import { bytesOf } from "./bytes.ts";
import type { Component } from "./component.ts";

/** A unit of the trie, as bits: whether a value ends here, the label, the way to the children. */
const endsHere = (unit: number): boolean => ((unit >>> 8) & 1) === 1;
const placeOf = (unit: number): number => unit & 0x7fffffff;
const labelOf = (unit: number): number => (unit & 0x800000ff) >>> 0;
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);

/**
 * SentencePiece's own normalisation, as a table that it was compiled to: a double-array trie (Darts) of texts in UTF-8, and what
 * replaces them.
 *
 * A whole grapheme is looked up first, if it is short, then its characters one by one. What is found is the shortest beginning
 * in the table, and it replaces all of what was looked up: strange, but what models were trained with.
 */
export function precompiled(component: Component): (text: string) => string {
  const bytes = Buffer.from(component.text("precompiled_charsmap"), "base64");
  const size = bytes.length < 4 ? -1 : bytes.readUInt32LE(0);
  if (size < 0 || size % 4 !== 0 || 4 + size > bytes.length) throw component.invalid('"precompiled_charsmap" is cut off');
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
  const texts = bytes.subarray(4 + size);

  const found = (text: string): string | null => {
    let at = offsetOf(units[0] ?? 0);
    for (const byte of bytesOf(text)) {
      if (byte === 0) return null;
      at ^= byte;
      const unit = units[at];
      if (unit === undefined || labelOf(unit) !== byte) return null;
      at ^= offsetOf(unit);
      if (!endsHere(unit)) continue;
      const from = placeOf(units[at] ?? 0);
      const to = texts.indexOf(0, from);
      return texts.subarray(from, to < 0 ? texts.length : to).toString("utf8");
    }
    return null;
  };

  const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
  const known = new Map<string, string>();
  const replaced = (grapheme: string): string => {
    const whole = Buffer.byteLength(grapheme) < 6 ? found(grapheme) : null;
    return whole ?? [...grapheme].map((c) => found(c) ?? c).join("");
  };
  return (text) => {
    let out = "";
    for (const { segment } of graphemes.segment(text)) {
      const to = known.get(segment) ?? replaced(segment);
      if (known.size > 10_000) known.clear();
      known.set(segment, to);
      out += to;
    }
    return out;
  };
}
