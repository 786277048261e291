import { createImportRun, type ImportRunRecord } from "../store/imports.ts";
import { earlierResult } from "../store/request-keys.ts";
import { getRun, type ImportOrigin } from "../store/runs.ts";
import type { StartServices } from "./start-pruning.ts";
import { type Client, completeUpload } from "./uploads.ts";
import { blaming, isPath, keyRule, nameRule, type Requirement, requireAll } from "./validate.ts";

/** What to make a model of: plain data. Errors call it `input`. */
export interface StartImportRequest {
  readonly from: ImportOrigin;
  /** Null: after what it is made of. */
  readonly name: string | null;
  /** A request with the key of an earlier one gives what that one gave, whatever has become of the files. */
  readonly idempotencyKey: string | null;
}

const isRepository = (text: string): boolean => /^[\w.-]{1,96}(?:\/[\w.-]{1,96})?$/.test(text) && !/(?:^|\/)\.\.?(?:\/|$)/.test(text);
const isRevision = (text: string): boolean => /^[\w./-]{1,200}$/.test(text) && !text.includes("..");

function rulesFor(from: ImportOrigin): Requirement[] {
  if (from.kind === "PATH") return [["input.source.path", isPath(from.path), "must be a path of 1 to 4,096 characters"]];
  if (from.kind === "UPLOAD") return [];
  const { repository, revision, files } = from;
  const at = (field: string) => `input.source.hub.${field}`;
  return [
    [at("repository"), isRepository(repository), "must be the name of a repository, such as owner/model"],
    [at("revision"), isRevision(revision), "must be a branch, a tag or a commit"],
    [at("files"), files === null || (files.length >= 1 && files.length <= 1000 && files.every(isPath)), "must be from 1 to 1,000 paths"],
  ];
}

/** What a model is called that was given no name. */
function nameAfter(from: ImportOrigin, files: readonly { readonly path: string }[]): string {
  const last = (path: string) => path.split(/[\\/]/).findLast((part) => part !== "" && part !== ".") ?? "";
  if (from.kind === "PATH") return last(from.path);
  if (from.kind === "HUB") return last(from.repository);
  const [{ path } = { path: "" }, ...more] = files;
  return more.length === 0 ? last(path).replace(/\.(?:tar|zip|gguf|onnx)$/i, "") : "upload";
}

/**
 * Starts the making of a model of files that are on the server, that a client has sent, or that a Hub has: it waits for a worker.
 *
 * @throws EspalierError BAD_USER_INPUT, UPLOAD_NOT_FOUND, UPLOAD_INCOMPLETE, with the argument at fault; IDEMPOTENCY_KEY_REUSED. Nothing is
 *   stored then
 */
export async function startImport(services: StartServices, request: StartImportRequest, client: Client): Promise<ImportRunRecord> {
  const { store, queue } = services;
  const { from, idempotencyKey: key } = request;
  requireAll([...rulesFor(from), keyRule(key)]);
  const keyed =
    key === null ? undefined : { operation: "startImport", owner: client.token?.id ?? null, key, request: { from, name: request.name } };
  const earlier = keyed && (await earlierResult(store.prisma, keyed));
  if (earlier) return getRun(store.prisma, earlier, "IMPORT");
  const upload = from.kind === "UPLOAD" ? await blaming("input.source.uploadId", completeUpload(services, from.uploadId, client)) : null;
  const name = request.name ?? nameAfter(from, upload?.files ?? []);
  requireAll([nameRule(name)]);
  const options = {
    from: upload ? { kind: "UPLOAD" as const, uploadId: upload.id } : from,
    name: name.trim(),
    executionProvider: "AUTO" as const,
  };
  return createImportRun(store, options, queue.addRun, keyed);
}
