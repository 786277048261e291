import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { setTimeout as pause } from "node:timers/promises";
// It speaks the Hub's own protocols, Xet's too, is kept by Hugging Face, and runs on the Node that we do.
import { downloadFile, HUB_URL, HubApiError, type ListFileEntry, listFiles, modelInfo } from "@huggingface/hub";
import type { Digest } from "../../../artifacts/digests.ts";
import { requireRoom } from "../../../artifacts/require-room.ts";
import { EspalierError } from "../../../errors.ts";
import { heard } from "../../../heard.ts";
import { unlessAbsent } from "../../../unless-absent.ts";
import { requireSmall } from "../../require-small.ts";
import { chooseFiles } from "../choose-files.ts";
import { isFilePath } from "../file-paths.ts";
import type { Gather, StageProgress } from "../import-model.ts";

/** A repository of the Hugging Face Hub, or of a server that answers like it. */
export interface FromHub {
  readonly kind: "HUB";
  /** Of a server that answers like the Hub, e.g. `https://hub.example`; null: the Hub itself. */
  readonly address: string | null;
  /** Null for what everybody may have. It goes nowhere but to the Hub. */
  readonly token: string | null;
  readonly repository: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
  /** Which files; null: the weights that are there, safetensors preferred. */
  readonly files: readonly string[] | null;
  /** What has come stays there until all has: a download that breaks goes on where it was. */
  readonly folder: string;
}

const addressOf = ({ address }: FromHub): string => address ?? HUB_URL;

const mostListed = 20_000;
/** A Hub that does not know ranges sends a file whole, which is kept in memory before it is written. */
const mostUnranged = 64 * 2 ** 20;
/** A connection that breaks is opened again so often in a row without a byte between. */
const patience = 5;
/** A Hub that says nothing for so long has broken off. */
const silenceMs = 60_000;

/** An error of the Hub, or of the way to it, as one of ours. */
function told(error: unknown, source: FromHub): EspalierError {
  if (error instanceof EspalierError) return error;
  const { repository } = source;
  const address = addressOf(source);
  const { message } = error as Error;
  const details = { repository, address };
  if (!(error instanceof HubApiError)) {
    const { cause } = error as { readonly cause?: { readonly message?: string } };
    return new EspalierError("HUB_UNREACHABLE", `${address} cannot be reached: ${cause?.message ?? message}`, details, { cause: error });
  }
  const { statusCode } = error;
  if (statusCode === 401 || statusCode === 403) {
    const why = `${address} does not let this server read ${repository} (${statusCode})`;
    return new EspalierError("HUB_REFUSED", `${why}: is it spelled right, and may the token of ESPALIER_HUB_TOKEN read it?`, details);
  }
  if (statusCode === 404)
    return new EspalierError("HUB_NOT_FOUND", `${address} has no such model, revision or file of ${repository}`, details);
  return new EspalierError("HUB_UNREACHABLE", `${address} answered ${statusCode}: ${message.slice(0, 300)}`, { ...details, statusCode });
}

/**
 * fetch that shows the token to the Hub and to nobody else, ends with the signal and with silence, and takes nothing large into memory.
 * (The library would take the Hub's own tokens only, and other servers have theirs.)
 */
function boundedFetch(source: FromHub, signal: AbortSignal): typeof fetch {
  const { origin } = new URL(addressOf(source));
  return async (input, init) => {
    const headers = new Headers(init?.headers);
    const address = input instanceof Request ? input.url : String(input);
    if (source.token !== null && new URL(address).origin === origin) headers.set("authorization", `Bearer ${source.token}`);
    const silent = new AbortController();
    const timer = setTimeout(() => silent.abort(new Error(`nothing came for ${silenceMs} ms`)), silenceMs);
    try {
      const response = await fetch(input, { ...init, headers, signal: AbortSignal.any([signal, silent.signal]) });
      const length = Number(response.headers.get("content-length") ?? Number.POSITIVE_INFINITY);
      if (headers.has("range") && response.status === 200 && length > mostUnranged) throw new Error("the server sends no ranges of files");
      return response;
    } finally {
      clearTimeout(timer);
    }
  };
}

/**
 * The files of a repository at one commit.
 *
 * @throws EspalierError HUB_UNREACHABLE, HUB_REFUSED, HUB_NOT_FOUND; MODEL_NOT_FOUND, FILE_NOT_FOUND; DIGEST_MISMATCH; DISK_FULL
 */
export const fromHub: Gather<FromHub> = async function* (source, { digests, signal, mostBytes }) {
  const { repository, revision } = source;
  const access = { hubUrl: addressOf(source), fetch: boundedFetch(source, signal) };
  const repo = { type: "model", name: repository } as const;
  try {
    const { sha: commit } = await modelInfo({ name: repository, revision, additionalFields: ["sha"], ...access });
    // Of a branch that has moved meanwhile, nothing is mixed.
    const folder = join(source.folder, commit);
    const listed = await filesOf(listFiles({ repo, recursive: true, revision: commit, ...access }), source);
    const byPath = new Map(listed.map((file) => [file.path, file]));
    const files = chooseFiles(`the repository ${repository}`, [...byPath.keys()], source.files).map(
      (path) => byPath.get(path) as ListFileEntry,
    );
    const total = files.reduce((n, file) => n + file.size, 0) || 1;
    requireSmall(total, mostBytes);
    await requireRoom(folder, total);
    const checks: Promise<void>[] = [];
    let before = 0;
    for (const file of files) {
      const { path, size, lfs } = file;
      const target = join(folder, path);
      const openAt = (from: number) => opened(downloadFile({ repo, path, revision: commit, ...access }), from, path);
      for await (const doneBytes of fetchFile(file, target, openAt, source, signal))
        yield { file: path, doneBytes, totalBytes: size, ofStage: (before + doneBytes) / total } satisfies StageProgress;
      // While the next is fetched.
      if (lfs) checks.push(heard(digests.of(target).then((found) => requireDigest(found, target, path, lfs.oid))));
      before += size;
    }
    return {
      modelRoot: folder,
      path: source.files?.find((path) => /\.(?:onnx|gguf)$/.test(path)) ?? ".",
      files: "OURS",
      notes: [`made of ${repository} at ${commit}`],
      proven: heard(Promise.all(checks).then(() => {})),
    };
  } catch (error) {
    signal.throwIfAborted();
    throw told(error, source);
  }
};

async function filesOf(listing: AsyncGenerator<ListFileEntry>, { repository }: FromHub): Promise<ListFileEntry[]> {
  const files: ListFileEntry[] = [];
  for await (const entry of listing) {
    if (entry.type !== "file" || !isFilePath(entry.path)) continue;
    files.push(entry);
    if (files.length > mostListed)
      throw new EspalierError("MODEL_NOT_FOUND", `the repository ${repository} has more than ${mostListed} files`);
  }
  return files;
}

async function opened(download: Promise<Blob | null>, from: number, path: string): Promise<Readable> {
  const blob = await download;
  if (!blob) throw new EspalierError("FILE_NOT_FOUND", `the Hub lists ${path} and does not have it`, { path });
  return Readable.fromWeb(blob.slice(from).stream() as ReadableStream);
}

/** Fetches a file, or what is missing of it, through breaks of the connection. Yields how many bytes are there. */
async function* fetchFile(
  { path, size }: ListFileEntry,
  target: string,
  openAt: (from: number) => Promise<Readable>,
  source: FromHub,
  signal: AbortSignal,
): AsyncGenerator<number> {
  const sizeOf = async (place: string): Promise<number> => (await stat(place).catch(unlessAbsent))?.size ?? 0;
  if ((await stat(target).catch(unlessAbsent))?.size === size) return yield size;
  const part = `${target}.part`;
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  let failures = 0;
  for (let at = await sizeOf(part); at < size || size === 0; ) {
    try {
      for await (const come of append(await openAt(at), part, at, size - at, path)) yield come;
      if (size === 0) break;
    } catch (error) {
      signal.throwIfAborted();
      const known = told(error, source);
      const now = await sizeOf(part);
      failures = now > at ? 0 : failures + 1;
      if (known.code !== "HUB_UNREACHABLE" || failures >= patience) throw error;
      await pause(Math.min(500 * 2 ** failures, 10_000), undefined, { signal });
    }
    at = await sizeOf(part);
  }
  await rename(part, target);
  yield size;
}

/** Appends what comes to a file. Yields its size, every few MB. @throws Error if it ends too soon, or more comes than should */
async function* append(bytes: Readable, part: string, from: number, most: number, path: string): AsyncGenerator<number> {
  const file = await open(part, "a", 0o600);
  let [come, toldAt] = [0, 0];
  try {
    for await (const chunk of bytes) {
      come += (chunk as Buffer).length;
      if (come > most)
        throw new EspalierError("DIGEST_MISMATCH", `more has come of ${path} than the Hub says that there is`, { file: path });
      await file.writeFile(chunk as Buffer);
      if (come - toldAt >= 4 * 2 ** 20) {
        toldAt = come;
        yield from + come;
      }
    }
  } finally {
    bytes.destroy();
    await file.close();
  }
  if (come < most) throw new Error(`the connection ended after ${come} of ${most} bytes`);
}

/** What is wrong is not kept: it is fetched anew. */
async function requireDigest({ sha256 }: Digest, target: string, path: string, expected: string): Promise<void> {
  if (sha256 === expected) return;
  await rm(target);
  throw new EspalierError("DIGEST_MISMATCH", `what has come of ${path} has another sha256 than the Hub says, ${expected}`, {
    file: path,
    expected,
  });
}
