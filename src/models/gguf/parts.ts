/** What llama.cpp calls the files of a model that it has split: `name-00001-of-00003.gguf`. */
const partName = /^(.*-)(\d{5})(-of-(\d{5})\.gguf)$/;

const most = 1000;

/** The paths of all parts of which one is a model's, in order; itself alone, where it has not the name of a part. */
export function partsWith(path: string): readonly string[] {
  const [, before = "", , after = "", total = ""] = partName.exec(path) ?? [];
  const count = Number(total);
  if (count < 1 || count > most) return [path];
  return Array.from({ length: count }, (_, i) => `${before}${String(i + 1).padStart(5, "0")}${after}`);
}

/** The paths of one model's files among those of GGUF files, all of its parts; null where they are of several models, or there are none. */
export function oneModel(paths: readonly string[]): readonly string[] | null {
  const [first] = paths;
  if (first === undefined) return null;
  const parts = partsWith(first);
  return paths.every((path) => parts.includes(path)) ? parts : null;
}
