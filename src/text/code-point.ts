/** The code point that begins at a place of a text. @throws RangeError at its end */
export function codePointOf(text: string, at = 0): number {
  const code = text.codePointAt(at);
  if (code === undefined) throw new RangeError(`a text of ${text.length} units has no character at ${at}`);
  return code;
}
