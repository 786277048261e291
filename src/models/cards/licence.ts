/** What a card's front matter may say of its licence, and in which languages the model writes. */
const carried = ["license", "license_name", "license_link", "language"] as const;

/** A card is as long as people write; the front matter is at its top. */
const longest = 64 << 10;

/**
 * What a card's front matter says of its licence and languages: single values, or short lists of them.
 *
 * @param card Markdown, perhaps with front matter
 */
export function carriedOver(card: string): Readonly<Record<string, string | readonly string[]>> {
  const [, front = ""] = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card.slice(0, longest)) ?? [];
  const lines = front.split(/\r?\n/);
  const found: Record<string, string | readonly string[]> = {};
  for (const key of carried) {
    const at = lines.findIndex((line) => line.startsWith(`${key}:`));
    if (at < 0) continue;
    const own = bare((lines[at] as string).slice(key.length + 1));
    if (own !== "" && !/^[[{&*!|>]/.test(own)) found[key] = own;
    else if (own === "") {
      const rest = lines.slice(at + 1);
      const end = rest.findIndex((line) => !/^\s*-\s+\S/.test(line));
      const items = rest.slice(0, end < 0 ? rest.length : end).map((line) => bare(line.replace(/^\s*-\s+/, "")));
      if (items.length > 0 && items.length <= 100) found[key] = items;
    }
  }
  return found;
}

const bare = (value: string): string =>
  value
    .trim()
    .replace(/^(["'])(.*)\1$/, "$2")
    .slice(0, 500);
