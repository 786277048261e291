import { blaming, isPath, nameRule, type Requirement, requireAll } from "../rules/validate.ts";
import type { ImportOrigin } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import type { UploadRecord } from "../store/uploads.ts";
import { type Client, completeUpload } from "./uploads.ts";

const isRepository = (text: string): boolean => /^[\w.-]{1,96}(?:\/[\w.-]{1,96})?$/.test(text) && !/(?:^|\/)\.\.?(?:\/|$)/.test(text);
const isRevision = (text: string): boolean => /^[\w./-]{1,200}$/.test(text) && !text.includes("..");

/**
 * The rules for where a model comes from.
 *
 * @param given the argument that says so
 */
export function originRules(from: ImportOrigin, given = "input.source"): Requirement[] {
  if (from.kind === "PATH") return [[`${given}.path`, isPath(from.path), "must be a path of 1 to 4,096 characters"]];
  if (from.kind === "UPLOAD") return [];
  const { repository, revision, files } = from;
  const at = (field: string) => `${given}.hub.${field}`;
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
  const bare = files.map(({ path }) => last(path).replace(/(?:-\d{5}-of-\d{5})?\.gguf$|\.(?:tar|zip|onnx)$/i, ""));
  return new Set(bare).size === 1 ? (bare[0] as string) : "upload";
}

/** A source that can be imported, and what its model is to be called. */
export interface ReadyOrigin {
  readonly from: ImportOrigin;
  readonly name: string;
  /** Null unless it is one. */
  readonly upload: UploadRecord | null;
}

/**
 * Sees that all of a source is there that the server must have by now.
 *
 * @param name null: after where it comes from
 * @throws EspalierError BAD_USER_INPUT, UPLOAD_NOT_FOUND, UPLOAD_INCOMPLETE, with the argument at fault
 */
export async function readyOrigin(
  services: { readonly store: Store; readonly dataDirectory: string },
  from: ImportOrigin,
  name: string | null,
  client: Client,
): Promise<ReadyOrigin> {
  const upload = from.kind === "UPLOAD" ? await blaming("input.source.uploadId", completeUpload(services, from.uploadId, client)) : null;
  const called = name ?? nameAfter(from, upload?.files ?? []);
  requireAll([nameRule(called)]);
  return { from: upload ? { kind: "UPLOAD", uploadId: upload.id } : from, name: called.trim(), upload };
}
