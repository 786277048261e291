/** Whether a path that a stranger gave can be a file's in a new folder: it stays inside on every system, and can be shown. */
export const isFilePath = (path: string): boolean =>
  path.length <= 1024 &&
  !/[\\:]|\p{Cc}/u.test(path) &&
  // Without half surrogates, which no file system keeps.
  Buffer.from(path).toString() === path &&
  path.split("/").every((part) => part !== "" && part !== "." && part !== ".." && Buffer.byteLength(part) <= 255);

/** The first path that stands twice, or is a folder of another; null if there is none. Names that differ by case alone are one on some systems. */
export function clashIn(paths: readonly string[]): string | null {
  const seen = new Set<string>();
  const folders = new Set<string>();
  for (const path of paths.map((each) => each.toLowerCase())) {
    if (seen.has(path)) return path;
    seen.add(path);
    for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) folders.add(path.slice(0, at));
  }
  return [...seen].find((path) => folders.has(path)) ?? null;
}
