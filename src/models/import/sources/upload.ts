import { mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Digest } from "../../../artifacts/digests.ts";
import { linkOrCopy } from "../../../artifacts/link-or-copy.ts";
import { EspalierError } from "../../../errors.ts";
import { heard } from "../../../heard.ts";
import { requireSmall } from "../../require-small.ts";
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
export const fromUpload: Gather<FromUpload> = async function* ({ folder, files }, { scratch, digests, signal, mostBytes }) {
  const modelRoot = join(scratch, "model");
  await mkdir(modelRoot, { recursive: true, mode: 0o700 });
  const total = files.reduce((n, file) => n + file.sizeBytes, 0) || 1;
  requireSmall(total, mostBytes);
  const checks: Promise<void>[] = [];
  let done = 0;
  for (const [i, { path, sizeBytes, sha256 }] of files.entries()) {
    signal.throwIfAborted();
    const place = join(folder, String(i));
    if (files.length === 1 && isArchive(path)) {
      // Nothing is unpacked of another archive than was announced.
      if (sha256 !== null) await requireDigest(await digests.of(place), path, sha256);
      await unpack(place, path, modelRoot, signal);
    } else {
      const target = join(modelRoot, path);
      await mkdir(dirname(target), { recursive: true, mode: 0o700 });
      await linkOrCopy(place, target);
      if (sha256 !== null) checks.push(heard(digests.of(target).then((found) => requireDigest(found, path, sha256))));
    }
    done += sizeBytes;
    yield { file: path, doneBytes: sizeBytes, totalBytes: sizeBytes, ofStage: done / total };
  }
  return { modelRoot, path: await innermost(modelRoot), files: "OURS", notes: [], proven: heard(Promise.all(checks).then(() => {})) };
};

function requireDigest({ sha256 }: Digest, path: string, expected: string): void {
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
