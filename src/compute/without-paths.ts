import { realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** What requests call the folders of this machine. */
const names: ReadonlySet<string> = new Set(["dataDirectory", "modelRoot", "folder", "scratch"]);

/** The folders that a request names, wherever in it. */
function* foldersIn(request: unknown): Generator<string> {
  if (typeof request !== "object" || request === null || ArrayBuffer.isView(request)) return;
  for (const [key, value] of Object.entries(request))
    if (names.has(key) && typeof value === "string") yield value;
    else if (typeof value === "object") yield* foldersIn(value);
}

const real = (folder: string): string[] => {
  try {
    return [realpathSync(folder)];
  } catch {
    return [];
  }
};

/**
 * Libraries name files by where they lie on this machine, which is for its log and not for whoever asked. Gives what takes the
 * folders of a request, of this program and of temporary files out of texts, so that paths begin within them.
 */
export function withoutPaths(request: unknown): <Value>(value: Value) => Value {
  const program = fileURLToPath(new URL("../..", import.meta.url));
  const own = [...foldersIn(request), program, tmpdir()].flatMap((folder) => [folder, resolve(folder), ...real(folder)]);
  const folders = [...new Set(own.map((folder) => folder.replace(/[\\/]+$/, "")))].filter((folder) => folder.length > 1);
  // The longest first: one may lie in another.
  folders.sort((a, b) => b.length - a.length);
  // Another folder may begin with the same letters.
  const patterns = folders.map((folder) => {
    const literal = folder.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return [new RegExp(`${literal}[\\\\/]`, "g"), new RegExp(`${literal}(?![\\w.-])`, "g")] as const;
  });
  const strip = (value: unknown): unknown => {
    if (typeof value === "string") return patterns.reduce((text, [inside, itself]) => text.replace(inside, "").replace(itself, "."), value);
    if (Array.isArray(value)) return value.map(strip);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, strip(inner)]));
  };
  return <Value>(value: Value) => strip(value) as Value;
}
