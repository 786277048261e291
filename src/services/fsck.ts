import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { type Artifacts, openArtifacts, type StoredArtifact } from "../artifacts/artifacts.ts";
import { folderOf } from "../artifacts/model-files.ts";
import { sha256OfStream } from "../sha256-of-stream.ts";
import { type FileInUse, filesInUse, removeUnused } from "../store/models.ts";
import type { Store } from "../store/store.ts";
import { unlessAbsent } from "../unless-absent.ts";

export interface Finding {
  /** MISSING: a model has it and the store does not. CORRUPT: its bytes have another digest. UNREFERENCED: no model has it.
   * LEFTOVER: a file or folder that work which was cut short left behind. */
  readonly problem: "MISSING" | "CORRUPT" | "UNREFERENCED" | "LEFTOVER";
  /** A sha256, or a path within the data directory. */
  readonly what: string;
  /** Names of the models and datasets that suffer. */
  readonly owners: readonly string[];
  /** What was done about it; null if nothing. */
  readonly repair: string | null;
}

export interface FsckOptions {
  readonly store: Store;
  readonly dataDirectory: string;
  readonly repair: boolean;
  /** What is younger may belong to work under way, and is left alone. */
  readonly graceMs: number;
}

/** Looks for the right bytes elsewhere on this machine: in the folder of a model that has them, or among fetched copies. */
async function rightBytes({ sha256, places }: FileInUse, { dataDirectory }: FsckOptions): Promise<string | null> {
  const candidates = [
    join(dataDirectory, "artifacts", sha256),
    ...places.map(({ digest, path }) => join(folderOf(dataDirectory, digest), path)),
  ];
  for (const path of candidates)
    if ((await stat(path).catch(unlessAbsent)) && (await sha256OfStream(createReadStream(path))).sha256 === sha256) return path;
  return null;
}

/** Puts right bytes in the place of missing or wrong ones. Wrong ones without right ones go out of the way, and are kept. */
async function restore(artifacts: Artifacts, file: FileInUse, problem: Finding["problem"], options: FsckOptions): Promise<string | null> {
  const { dataDirectory } = options;
  const { sha256, places } = file;
  const path = await rightBytes(file, options);
  if (path !== null) {
    if (path === join(dataDirectory, "artifacts", sha256)) {
      // A copy of what lies elsewhere.
      await artifacts.add(path);
      return "stored again from this machine's copy";
    }
    await artifacts.remove(sha256);
    await artifacts.add(path);
    return "stored again from the folder of a model";
  }
  if (problem !== "CORRUPT") return null;
  await mkdir(join(dataDirectory, "corrupt"), { recursive: true, mode: 0o700 });
  await pipeline(await artifacts.read(sha256), createWriteStream(join(dataDirectory, "corrupt", sha256)));
  await artifacts.remove(sha256);
  for (const { digest } of places) await rm(folderOf(dataDirectory, digest), { recursive: true, force: true });
  return `moved to corrupt/${sha256}; registering the same files again restores it`;
}

async function* leftovers({ store, dataDirectory, repair, graceMs }: FsckOptions): AsyncGenerator<Finding> {
  const used = new Set((await store.prisma.model.findMany({ select: { digest: true } })).map((model) => model.digest));
  const runs = await store.prisma.run.findMany({ where: { kind: "IMPORT", status: { not: "SUCCEEDED" } }, select: { id: true } });
  const uploads = await store.prisma.upload.findMany({ select: { id: true } });
  const [importing, uploaded] = [runs, uploads].map((rows) => new Set(rows.map(({ id }) => id))) as [Set<string>, Set<string>];
  const isLeft: Readonly<Record<string, (name: string) => boolean>> = {
    artifacts: (name) => name.startsWith("."),
    exports: () => true,
    models: (name) => !used.has(name),
    imports: (name) => !importing.has(name),
    uploads: (name) => !uploaded.has(name),
  };
  for (const [folder, left] of Object.entries(isLeft))
    for (const name of ((await readdir(join(dataDirectory, folder)).catch(unlessAbsent)) ?? []).filter(left)) {
      const path = join(dataDirectory, folder, name);
      const found = await stat(path).catch(unlessAbsent);
      if (!found || Date.now() - found.mtimeMs < graceMs) continue;
      if (repair) await rm(path, { recursive: true, force: true });
      yield { problem: "LEFTOVER", what: `${folder}/${name}`, owners: [], repair: repair ? "removed" : null };
    }
}

/** Holds the database against the artifact store, both ways, every byte of it, and tells what does not agree. */
export async function* fsck(options: FsckOptions): AsyncGenerator<Finding> {
  const { store, dataDirectory, repair, graceMs } = options;
  const artifacts = await openArtifacts(dataDirectory);
  const inUse = new Map((await filesInUse(store.prisma)).map((file) => [file.sha256, file]));
  const found = async (file: FileInUse, problem: Finding["problem"]): Promise<Finding> => ({
    problem,
    what: file.sha256,
    owners: file.owners,
    repair: repair ? await restore(artifacts, file, problem, options) : null,
  });
  const stored: StoredArtifact[] = [];
  for await (const artifact of artifacts.list()) stored.push(artifact);
  const seen = new Set(stored.map((artifact) => artifact.sha256));
  // What is missing first: the folder of a model may have it still, and spoilt files cost a model its folder.
  for (const [sha256, file] of inUse) if (!seen.has(sha256) && !(await artifacts.has(sha256))) yield await found(file, "MISSING");
  for (const { sha256, modifiedAt } of stored) {
    const file = inUse.get(sha256);
    if (file) {
      if ((await sha256OfStream(await artifacts.read(sha256))).sha256 !== sha256) yield await found(file, "CORRUPT");
    } else if (Date.now() - modifiedAt.getTime() >= graceMs) {
      // Asked again, under the lock: somebody may have registered it just now.
      const removed = repair ? await removeUnused(store, [sha256], (unused) => artifacts.remove(unused)) : [sha256];
      if (removed.length > 0) yield { problem: "UNREFERENCED", what: sha256, owners: [], repair: repair ? "removed" : null };
    }
  }
  yield* leftovers(options);
}
