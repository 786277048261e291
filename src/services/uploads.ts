import { mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { requireRoom } from "../artifacts/require-room.ts";
import { folderOfUpload, uploadsIn } from "../artifacts/upload-folder.ts";
import { EspalierError } from "../errors.ts";
import { clashIn, isFilePath } from "../models/import/file-paths.ts";
import { requireAll } from "../rules/validate.ts";
import type { Store } from "../store/store.ts";
import { type AccessRole, suffices } from "../store/tokens.ts";
import { type AnnouncedFile, createUpload, extendUpload, getUpload, removeExpiredUploads, type UploadRecord } from "../store/uploads.ts";
import { unlessAbsent } from "../unless-absent.ts";

export interface UploadServices {
  readonly store: Store;
  readonly dataDirectory: string;
  /** Bytes that one client may have announced and not yet made models of. */
  readonly uploadBytes: number;
}

/** Who asks. */
export interface Client {
  /** Null where the server is open. */
  readonly token: { readonly id: string } | null;
  readonly role: AccessRole;
}

/** An upload of which nothing more comes is kept so long. */
const patienceMs = 24 * 60 * 60_000;
const mostFiles = 1000;

const later = (): Date => new Date(Date.now() + patienceMs);

/**
 * Announces files that are to become a model.
 *
 * @throws EspalierError BAD_USER_INPUT with the argument at fault; UPLOAD_TOO_LARGE, TOO_MANY_UPLOADS; DISK_FULL if there is no room for them
 */
export async function announceUpload(services: UploadServices, files: readonly AnnouncedFile[], client: Client): Promise<UploadRecord> {
  const { store, dataDirectory, uploadBytes } = services;
  const clash = clashIn(files.map((file) => file.path));
  requireAll([
    ["input.files", files.length >= 1 && files.length <= mostFiles, `must be from 1 to ${mostFiles}`],
    ["input.files", clash === null, `must each have a path of their own, which is no folder of another's: "${clash}" is not`],
    ...files.flatMap(({ path, sizeBytes, sha256 }, i) => [
      [`input.files.${i}.path`, isFilePath(path), 'must be a path inside the folder, with "/" between its parts'] as const,
      [`input.files.${i}.sizeBytes`, sizeBytes >= 0, "must not be negative"] as const,
      [
        `input.files.${i}.sha256`,
        sha256 === null || /^[0-9a-f]{64}$/.test(sha256),
        "must be of 64 hexadecimal digits in lower case",
      ] as const,
    ]),
  ]);
  await sweepUploads(services);
  await requireRoom(
    uploadsIn(dataDirectory),
    files.reduce((n, file) => n + file.sizeBytes, 0),
  );
  return createUpload(store, { tokenId: client.token?.id ?? null, files, expiresAt: later() }, uploadBytes);
}

/** An upload of the client's own, or of anybody's for an administrator. @throws EspalierError UPLOAD_NOT_FOUND */
export async function ownUpload({ store }: Pick<UploadServices, "store">, id: string, client: Client): Promise<UploadRecord> {
  const upload = await getUpload(store.prisma, id);
  if (upload.tokenId === null || upload.tokenId === client.token?.id || suffices(client.role, "ADMIN")) return upload;
  // That there is one is nobody else's business.
  throw new EspalierError("UPLOAD_NOT_FOUND", `there is no upload ${id}`, { id });
}

/** How many bytes of each file have come. */
export async function receivedBytes(dataDirectory: string, { id, files }: Pick<UploadRecord, "id" | "files">): Promise<number[]> {
  const place = folderOfUpload(dataDirectory, id);
  return Promise.all(files.map(async (_, i) => (await stat(join(place, String(i))).catch(unlessAbsent))?.size ?? 0));
}

/** A file of an upload, and where what has come of it lies. @throws EspalierError UPLOAD_NOT_FOUND, FILE_NOT_FOUND */
export async function fileOfUpload(
  services: UploadServices,
  id: string,
  path: string,
  client: Client,
): Promise<AnnouncedFile & { readonly upload: UploadRecord; readonly place: string; readonly received: number }> {
  const upload = await ownUpload(services, id, client);
  const at = upload.files.findIndex((file) => file.path === path);
  const file = upload.files[at];
  if (!file) throw new EspalierError("FILE_NOT_FOUND", `the upload announced no file ${JSON.stringify(path.slice(0, 200))}`, { path });
  const place = join(folderOfUpload(services.dataDirectory, upload.id), String(at));
  return { ...file, upload, place, received: (await stat(place).catch(unlessAbsent))?.size ?? 0 };
}

/** Of a file, bytes from one place on: `from` is null for the file from its beginning, whatever has come of it. */
export interface Piece {
  readonly from: number | null;
  readonly bytes: Readable;
}

/** Files that something is being written to, by where they lie. */
const busy = new Set<string>();

/**
 * Writes a piece of a file. What has come stays if the rest does not: the next piece goes on there.
 *
 * @returns how many bytes of the file are there
 * @throws EspalierError UPLOAD_NOT_FOUND, FILE_NOT_FOUND; UPLOAD_BUSY; UPLOAD_OUT_OF_PLACE if the piece does not begin where the last ended;
 *   UPLOAD_TOO_LARGE beyond what was announced
 */
export async function receivePiece(
  services: UploadServices,
  id: string,
  path: string,
  client: Client,
  { from, bytes }: Piece,
): Promise<{ readonly receivedBytes: number; readonly sizeBytes: number }> {
  const { upload, place, received, sizeBytes } = await fileOfUpload(services, id, path, client);
  if (busy.has(place)) throw new EspalierError("UPLOAD_BUSY", `"${path}" is being sent already`, { path });
  if (from !== null && from !== received)
    throw new EspalierError(
      "UPLOAD_OUT_OF_PLACE",
      `${received} bytes of "${path}" are there: the next piece begins at byte ${received}, not ${from}`,
      {
        path,
        receivedBytes: received,
      },
    );
  busy.add(place);
  try {
    await mkdir(folderOfUpload(services.dataDirectory, upload.id), { recursive: true, mode: 0o700 });
    // A file that was sent before may be a model's by now: what is sent anew is another.
    if (from === null) await rm(place, { force: true });
    const target = await open(place, "a", 0o600);
    let at = from ?? 0;
    try {
      for await (const chunk of bytes) {
        at += (chunk as Buffer).length;
        if (at > sizeBytes)
          throw new EspalierError("UPLOAD_TOO_LARGE", `"${path}" was announced with ${sizeBytes} bytes, and more have come`, {
            path,
            sizeBytes,
          });
        await target.writeFile(chunk as Buffer);
      }
    } finally {
      await target.close();
    }
    await extendUpload(services.store.prisma, upload.id, later());
    return { receivedBytes: at, sizeBytes };
  } finally {
    busy.delete(place);
  }
}

/** An upload of which all has come. It stays while it is made a model of. @throws EspalierError UPLOAD_NOT_FOUND; UPLOAD_INCOMPLETE */
export async function completeUpload(
  services: Pick<UploadServices, "store" | "dataDirectory">,
  id: string,
  client: Client,
): Promise<UploadRecord> {
  const upload = await ownUpload(services, id, client);
  const received = await receivedBytes(services.dataDirectory, upload);
  const lacking = upload.files.findIndex(({ sizeBytes }, i) => received[i] !== sizeBytes);
  const file = upload.files[lacking];
  if (file)
    throw new EspalierError("UPLOAD_INCOMPLETE", `of "${file.path}" ${received[lacking]} of ${file.sizeBytes} bytes have come`, {
      path: file.path,
      receivedBytes: received[lacking],
      sizeBytes: file.sizeBytes,
    });
  await extendUpload(services.store.prisma, upload.id, later());
  return upload;
}

/** Clears away uploads that nobody has gone on with. */
export async function sweepUploads({ store, dataDirectory }: Pick<UploadServices, "store" | "dataDirectory">): Promise<void> {
  const left = await removeExpiredUploads(store.prisma, new Date());
  const folder = uploadsIn(dataDirectory);
  for (const id of (await readdir(folder).catch(unlessAbsent)) ?? [])
    if (!left.has(id)) await rm(join(folder, id), { recursive: true, force: true });
}
