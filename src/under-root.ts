import type { Stats } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { basename, isAbsolute, join, relative, sep } from "node:path";
import { EspalierError } from "./errors.ts";

/** Which folder of the server clients name files in by their paths. */
export type RootKind = "MODEL" | "DATASET";

/** Whether a relative path leads out of the folder that it is relative to. */
export const leadsOut = (way: string): boolean => way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way);

/**
 * Where a path under a root leads, whether or not there is anything.
 *
 * @throws EspalierError PATH_OUTSIDE_MODEL_ROOT or PATH_OUTSIDE_DATASET_ROOT
 */
export function placeUnder(root: string, path: string, kind: RootKind): string {
  const place = join(root, path);
  if (isAbsolute(path) || path.includes("\0") || leadsOut(relative(root, place)))
    throw new EspalierError(`PATH_OUTSIDE_${kind}_ROOT`, `the path must be relative to the ${kind.toLowerCase()} root and stay inside it`, {
      path,
    });
  return place;
}

/** What realpath says of a name that leads nowhere: in circles or too long, too. */
const noSuchThing: ReadonlySet<string | undefined> = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"]);

/**
 * What a file or folder under `root` is, or null if there is no such thing. Links are followed: a hub's cache consists of
 * links, but none may lead out of the root.
 *
 * @throws EspalierError PATH_OUTSIDE_MODEL_ROOT or PATH_OUTSIDE_DATASET_ROOT
 */
export async function within(root: string, place: string, kind: RootKind): Promise<Stats | null> {
  const real = await realpath(place).catch((error: NodeJS.ErrnoException) => {
    if (noSuchThing.has(error.code)) return null;
    throw error;
  });
  if (real === null) return null;
  if (leadsOut(relative(root, real)))
    throw new EspalierError(
      `PATH_OUTSIDE_${kind}_ROOT`,
      `"${basename(place)}" lies outside the ${kind.toLowerCase()} root, or is a link that leads out of it`,
      { file: basename(place) },
    );
  return stat(real);
}
