const encoder = new TextEncoder();

/** The UTF-8 bytes of a text. */
export const bytesOf = (text: string): Uint8Array => encoder.encode(text);

/** The printable ASCII and Latin-1 characters, which stand for themselves; the other bytes are counted on from U+0100. */
const stands = (byte: number): boolean => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);

/** The character that stands for each byte in the vocabularies of GPT-2 and its kin. */
export const characterOfByte: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(stands(byte) ? byte : next++));
})();

export const byteOfCharacter: ReadonlyMap<string, number> = new Map(characterOfByte.map((c, byte) => [c, byte]));

/** A text with a character for each of its bytes. */
export function byteCharacters(text: string): string {
  let out = "";
  for (const byte of bytesOf(text)) out += characterOfByte[byte];
  return out;
}

/** The token of a byte in a vocabulary that falls back on bytes, e.g. `<0x0A>`. */
export const byteToken = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
