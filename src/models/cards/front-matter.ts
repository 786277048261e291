/** What YAML can say here: JSON's values. */
export type Yaml = string | number | boolean | null | readonly Yaml[] | { readonly [key: string]: Yaml };

/** A value as YAML. Strings are written as JSON writes them, which is YAML too, so that no text of a user means anything else. */
function lines(value: Yaml, indent: string): string[] {
  if (Array.isArray(value))
    return value.flatMap((item: Yaml) => {
      const [first = "", ...rest] = isPlain(item)
        ? [scalar(item)]
        : lines(item, `${indent}  `).map((line, i) => (i === 0 ? line.trimStart() : line));
      return [`${indent}- ${first}`, ...rest];
    });
  return Object.entries(value as Readonly<Record<string, Yaml>>).flatMap(([key, item]) =>
    isPlain(item) ? [`${indent}${key}: ${scalar(item)}`] : [`${indent}${key}:`, ...lines(item, `${indent}  `)],
  );
}

const isPlain = (value: Yaml): value is string | number | boolean | null =>
  typeof value !== "object" || value === null || Object.keys(value).length === 0;

const scalar = (value: Yaml): string =>
  typeof value === "string" && /^[a-z][a-z0-9_-]*$/.test(value) && !/^(?:true|false|null|yes|no|on|off|y|n)$/.test(value)
    ? value
    : JSON.stringify(value);

/** The front matter of a card. */
export const frontMatter = (value: Readonly<Record<string, Yaml>>): string => ["---", ...lines(value, ""), "---"].join("\n");
