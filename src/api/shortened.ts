const shown = 200;
const mostItems = 100;

/** A text of any length in about 400 characters: its beginning, which says what it is about, and its end, which often says why. */
export function shortened(text: string): string {
  const left = text.length - 2 * shown;
  return left <= shown ? text : `${text.slice(0, shown)} [${left} characters] ${text.slice(-shown)}`;
}

/** The same for every text in plain data, and no more of a list than a reader takes in. */
export function shortenedData(value: unknown): unknown {
  if (typeof value === "string") return shortened(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.slice(0, mostItems).map(shortenedData);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shortenedData(inner)]));
}
