import { createReadStream, createWriteStream } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";
import { openPromise } from "yauzl";
import { EspalierError } from "../../errors.ts";
import { numberAt } from "../../number-at.ts";
import { clashIn, isFilePath } from "./file-paths.ts";

const mostFiles = 1000;
/** What is packed may be so much more than the archive: weights hardly get smaller by packing, and bombs a thousand times. */
const mostTimes = 20;
const alwaysBytes = 64 * 2 ** 20;
/** Of a name, or another extended header, in a tar archive. */
const longestHeader = 64 * 1024;

interface Entry {
  readonly path: string;
  readonly sizeBytes: number;
}

/**
 * How each kind of archive is unpacked: what it would write is listed first, so that nothing is written of one that is refused.
 * yauzl and tar-stream read them: both are streams, small, and what npm's own tools and others are built on.
 */
const kinds: Readonly<Record<string, { list(file: string): Promise<Entry[]>; write(file: string, put: Put): Promise<void> }>> = {
  ".tar": { list: listTar, write: writeTar },
  ".zip": { list: listZip, write: writeZip },
};

type Put = (path: string, bytes: Readable) => Promise<void>;

const kindOf = (path: string) => kinds[extname(path).toLowerCase()];

export const isArchive = (path: string): boolean => kindOf(path) !== undefined;

const refused = (archive: string, why: string, details: Record<string, unknown> = {}) =>
  new EspalierError("INVALID_ARCHIVE", `"${archive}" ${why}`, { file: archive, ...details });

const shown = (path: string): string => JSON.stringify(path.slice(0, 200));

/**
 * Unpacks an archive of plain files and folders.
 *
 * @param name what it is called: its ending says what it is
 * @param folder an empty one
 * @throws EspalierError INVALID_ARCHIVE if it is no such archive, holds a path that leads out, a link, a device, a path twice, or far more
 *   than it should; the signal's reason
 */
export async function unpack(file: string, name: string, folder: string, signal: AbortSignal): Promise<void> {
  const kind = kindOf(name);
  if (!kind) throw refused(name, `must end in ${Object.keys(kinds).join(" or ")}`);
  try {
    const entries = await kind.list(file);
    await requirePlain(file, name, entries);
    const sizes = new Map(entries.map((entry) => [entry.path, entry.sizeBytes]));
    await kind.write(file, async (path, bytes) => {
      // Before anybody listens: the pipeline tells it then.
      bytes.on("error", () => {});
      const target = join(folder, path);
      await mkdir(dirname(target), { recursive: true, mode: 0o700 });
      await pipeline(bytes, noMoreThan(sizes.get(path) ?? 0, path), createWriteStream(target, { flags: "wx", mode: 0o600 }), { signal });
    });
  } catch (error) {
    if (error instanceof EspalierError && error.code !== "INVALID_ENTRY") throw error;
    signal.throwIfAborted();
    const { code, message } = error as NodeJS.ErrnoException;
    // Of the disk, not of the archive.
    if (/^E[A-Z0-9]+$/.test(code ?? "") && code !== "EEXIST") throw error;
    throw refused(name, `cannot be unpacked: ${message}`);
  }
}

const invalid = (message: string) => new EspalierError("INVALID_ENTRY", message);

async function requirePlain(file: string, name: string, entries: readonly Entry[]): Promise<void> {
  if (entries.length === 0) throw refused(name, "holds no file");
  if (entries.length > mostFiles) throw refused(name, `holds more than ${mostFiles} files`);
  const out = entries.find(({ path }) => !isFilePath(path));
  if (out) throw refused(name, `holds ${shown(out.path)}, which is no path inside a folder`);
  const clash = clashIn(entries.map(({ path }) => path));
  if (clash !== null) throw refused(name, `holds ${shown(clash)} twice, or as a file and a folder`);
  const handle = await open(file);
  const { size } = await handle.stat().finally(() => handle.close());
  const [sizeBytes, most] = [entries.reduce((n, entry) => n + entry.sizeBytes, 0), size * mostTimes + alwaysBytes];
  if (sizeBytes > most)
    throw refused(name, `has ${size} bytes and would unpack to ${sizeBytes}; at most ${most} make sense`, { sizeBytes, most });
}

/** Lets through as many bytes as a file was said to have. */
function noMoreThan(sizeBytes: number, path: string): Transform {
  let left = sizeBytes;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      left -= chunk.length;
      if (left < 0) done(invalid(`${shown(path)} has more bytes than it says`));
      else done(null, chunk);
    },
    flush: (done) => done(left > 0 ? invalid(`${shown(path)} has fewer bytes than it says`) : null),
  });
}

/** What npm calls a folder's own entry, and hidden files that macOS puts beside others. */
const isNoFile = (path: string): boolean => path.endsWith("/") || /(?:^|\/)(?:\._[^/]*|\.DS_Store)$|^__MACOSX\//.test(path);
const plainPath = (path: string): string => path.replace(/^(?:\.\/)+/, "");

/**
 * Reads the headers alone, from place to place. An extended header is read whole by whoever unpacks: it must be short.
 *
 * @see POSIX.1-2001, pax: a header is a block of 512 bytes, its size at 124 and its type at 156
 */
async function requireShortHeaders(handle: FileHandle): Promise<void> {
  const { size } = await handle.stat();
  const block = Buffer.alloc(512);
  /** What extended headers say of the next file's size, and of all that follow. */
  const stated: { next?: number | undefined; all?: number | undefined } = {};
  for (let [at, count] = [0, 0]; at + 512 <= size; count++) {
    if (count > 4 * mostFiles) throw invalid(`there are more than ${4 * mostFiles} headers`);
    await handle.read(block, 0, 512, at);
    if (block.every((byte) => byte === 0)) {
      at += 512;
      continue;
    }
    const type = String.fromCharCode(numberAt(block, 156));
    const digits = block.toString("latin1", 124, 136).replace(/[\0 ]+$/, "");
    // Sizes past 8 GiB are in base 256, of which extended headers are far.
    const own = numberAt(block, 124) & 0x80 ? Number(block.readBigUInt64BE(128)) : Number.parseInt(digits, 8);
    const isExtended = /[xgLK]/.test(type);
    const bytes = isExtended ? own : (stated.next ?? stated.all ?? own);
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw invalid(`the header at byte ${at} states no size`);
    if (!/[0\0\x35xgLK7]/.test(type)) throw invalid(`${shown(block.toString("utf8", 0, 100).replace(/\0.*$/s, ""))} is a link or a device`);
    if (isExtended && bytes > longestHeader) throw invalid(`the header at byte ${at} has ${bytes} bytes`);
    if (type === "x" || type === "g") {
      const body = Buffer.alloc(bytes);
      await handle.read(body, 0, bytes, at + 512);
      const [, said] = /(?:^|\n)\d+ size=(\d+)\n/.exec(body.toString("latin1")) ?? [];
      if (said !== undefined) stated[type === "x" ? "next" : "all"] = Number(said);
    } else if (!isExtended) stated.next = undefined;
    at += 512 + Math.ceil(bytes / 512) * 512;
  }
}

async function listTar(file: string): Promise<Entry[]> {
  const handle = await open(file);
  await requireShortHeaders(handle).finally(() => handle.close());
  const entries: Entry[] = [];
  const unpacking = extract();
  const reading = pipeline(createReadStream(file), unpacking);
  reading.catch(() => {});
  for await (const entry of unpacking) {
    const { name, size = 0, type } = entry.header;
    if (type !== "file" && type !== "directory" && type !== "contiguous-file") throw invalid(`${shown(name)} is a ${type}`);
    if (type !== "directory" && !isNoFile(name)) entries.push({ path: plainPath(name), sizeBytes: size });
    if (entries.length > mostFiles) break;
    entry.resume();
  }
  if (entries.length <= mostFiles) await reading;
  return entries;
}

async function writeTar(file: string, put: Put): Promise<void> {
  const unpacking = extract();
  const reading = pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), unpacking);
  reading.catch(() => {});
  for await (const entry of unpacking) {
    if (entry.header.type === "directory" || isNoFile(entry.header.name)) entry.resume();
    else await put(plainPath(entry.header.name), entry as unknown as Readable);
  }
  await reading;
}

/** Of the file's mode, which Unix keeps in the upper half: what kind it is. */
const unixType = (externalFileAttributes: number): number => (externalFileAttributes >>> 16) & 0o170000;

async function listZip(file: string): Promise<Entry[]> {
  const zip = await openPromise(file, { lazyEntries: true });
  const entries: Entry[] = [];
  try {
    if (zip.entryCount > 4 * mostFiles) throw invalid(`there are ${zip.entryCount} entries`);
    for await (const { fileName, uncompressedSize, externalFileAttributes, generalPurposeBitFlag } of zip.eachEntry()) {
      if (isNoFile(fileName)) continue;
      if (![0, 0o100000].includes(unixType(externalFileAttributes))) throw invalid(`${shown(fileName)} is a link or a device`);
      if (generalPurposeBitFlag & 1) throw invalid(`${shown(fileName)} is encrypted`);
      entries.push({ path: plainPath(fileName), sizeBytes: uncompressedSize });
    }
  } finally {
    zip.close();
  }
  return entries;
}

async function writeZip(file: string, put: Put): Promise<void> {
  const zip = await openPromise(file, { lazyEntries: true });
  try {
    for await (const entry of zip.eachEntry())
      if (!isNoFile(entry.fileName)) await put(plainPath(entry.fileName), await zip.openReadStreamPromise(entry));
  } finally {
    zip.close();
  }
}
