import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Entry, openPromise, type ZipFile } from "yauzl";

/** A wheel that may not be used, and why. */
export class UnfitWheel extends Error {}

/** What of the wheel goes beside the npm package's library. */
const libraries = ["libonnxruntime_providers_cuda.so", "libonnxruntime_providers_shared.so"];

/** A wheel's libraries are of so many bytes at most: a file that says more is no wheel of ONNX Runtime. */
const largestEntry = 2 ** 31;

const buildCommit = /git-commit-id=([0-9a-f]{7,40})/;

/**
 * The commit that a library of ONNX Runtime was built from: it carries the sentence `ORT Build Info`.
 *
 * @throws UnfitWheel if there is no such sentence
 */
export async function commitOf(name: string, library: Readable): Promise<string> {
  let tail = "";
  for await (const chunk of library) {
    const text = tail + (chunk as Buffer).toString("latin1");
    const found = buildCommit.exec(text);
    // A commit that ends where the chunk does may go on in the next.
    if (found && found.index + found[0].length < text.length) return found[1] as string;
    tail = text.slice(-100);
  }
  throw new UnfitWheel(`${name} does not say which commit it was built from`);
}

async function entriesOf(wheel: ZipFile): Promise<ReadonlyMap<string, Entry>> {
  const entries = new Map<string, Entry>();
  for await (const entry of wheel.eachEntry()) entries.set(entry.fileName, entry);
  return entries;
}

const textOf = async (stream: Readable): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
};

/** What a wheel says it is. */
export interface ProviderWheel {
  readonly version: string;
  readonly commit: string;
  /** Such as `13.0`. */
  readonly cudaVersion: string;
}

/**
 * Puts the CUDA provider of a wheel of PyPI's `onnxruntime-gpu` beside the npm package's library. The two load each other only if
 * both are of one version and commit, so that is required.
 *
 * @param npmLibrary path of the npm package's `libonnxruntime.so.1`
 * @param npmVersion version of the npm package
 * @throws UnfitWheel if the file is no such wheel, or of another version or commit; nothing is changed then
 */
export async function installProvider(path: string, npmLibrary: string, npmVersion: string, destination: string): Promise<ProviderWheel> {
  const wheel = await openPromise(path, { autoClose: false }).catch((cause: Error) => {
    throw new UnfitWheel(`${basename(path)} cannot be opened as a wheel: ${cause.message}`);
  });
  try {
    const entries = await entriesOf(wheel);
    const open = async (name: string): Promise<Readable> => {
      const entry = entries.get(name);
      if (!entry) throw new UnfitWheel(`${basename(path)} holds no ${name}`);
      if (entry.uncompressedSize > largestEntry) throw new UnfitWheel(`${name} claims ${entry.uncompressedSize} bytes`);
      return wheel.openReadStreamPromise(entry);
    };
    const information = await textOf(await open("onnxruntime/capi/build_and_package_info.py"));
    const said = (name: string): string => new RegExp(`^${name} = '([^']*)'`, "m").exec(information)?.[1] ?? "";
    const [name, version, cudaVersion] = [said("package_name"), said("__version__"), said("cuda_version")];
    if (name !== "onnxruntime-gpu") throw new UnfitWheel(`the wheel is of "${name}", not of onnxruntime-gpu`);
    if (version !== npmVersion) throw new UnfitWheel(`the wheel is of version ${version}, onnxruntime-node of ${npmVersion}`);
    const own = await commitOf(basename(npmLibrary), createReadStream(npmLibrary));
    const library = `onnxruntime/capi/libonnxruntime.so.${version}`;
    const commit = await commitOf(library, await open(library));
    if (commit !== own) throw new UnfitWheel(`the wheel was built from commit ${commit}, onnxruntime-node from ${own}`);

    await mkdir(destination, { recursive: true });
    const written: string[] = [];
    try {
      for (const file of libraries) {
        const temporary = join(destination, `.${file}.${process.pid}`);
        written.push(temporary);
        await pipeline(await open(`onnxruntime/capi/${file}`), createWriteStream(temporary, { mode: 0o644 }));
      }
      for (const [i, file] of libraries.entries()) await rename(written[i] as string, join(destination, file));
    } finally {
      for (const file of written) await rm(file, { force: true });
    }
    return { version, commit, cudaVersion };
  } finally {
    wheel.close();
  }
}
