import { createReadStream } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { linkOrCopy } from "../../../artifacts/link-or-copy.ts";
import { EspalierError } from "../../../errors.ts";
import { sha256OfStream } from "../../../sha256-of-stream.ts";
import type { Gather } from "../import-model.ts";
import { isArchive, unpack } from "../unpack.ts";

/** Files that a client has sent: the i-th lies in the folder under the name i. */
export interface FromUpload {
  readonly kind: "UPLOAD";
  readonly folder: string;
  readonly files: readonly { readonly path: string; readonly sizeBytes: number; readonly sha256: string | null }[];
}

/**
 * The files under their own names; of a single archive, what is in it. What an archive holds in one folder alone is that folder.
 *
 * @throws EspalierError DIGEST_MISMATCH; what `unpack` throws
 */
export const fromUpload: Gather<FromUpload> = async function* ({ folder, files }, scratch, signal) {
  const modelRoot = join(scratch, "model");
  await mkdir(modelRoot, { recursive: true, mode: 0o700 });
  const total = files.reduce((n, file) => n + file.sizeBytes, 0) || 1;
  let done = 0;
  for (const [i, { path, sizeBytes, sha256 }] of files.entries()) {
    signal.throwIfAborted();
    const place = join(folder, String(i));
    if (sha256 !== null) await requireDigest(place, path, sha256);
    const [only] = files.length === 1 && isArchive(path) ? [path] : [];
    if (only) await unpack(place, only, modelRoot, signal);
    else {
      const target = join(modelRoot, path);
      await mkdir(dirname(target), { recursive: true, mode: 0o700 });
      await linkOrCopy(place, target);
    }
    done += sizeBytes;
    yield { file: path, doneBytes: sizeBytes, totalBytes: sizeBytes, ofStage: done / total };
  }
  return { modelRoot, path: await innermost(modelRoot), files: "OURS", notes: [] };
};

async function requireDigest(place: string, path: string, expected: string): Promise<void> {
  const { sha256 } = await sha256OfStream(createReadStream(place, { highWaterMark: 1 << 20 }));
  if (sha256 !== expected)
    throw new EspalierError(
      "DIGEST_MISMATCH",
      `"${path}" was announced with the sha256 ${expected}; what has come has ${sha256}: send it again`,
      {
        file: path,
        expected,
        sha256,
      },
    );
}

/** The path of the folder that holds more than one folder alone. */
async function innermost(root: string): Promise<string> {
  let path = ".";
  for (;;) {
    const [only, ...more] = await readdir(join(root, path), { withFileTypes: true });
    if (!only?.isDirectory() || more.length > 0 || only.name === "onnx") return path;
    path = join(path, only.name);
  }
}
