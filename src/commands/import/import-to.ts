import { createReadStream } from "node:fs";
import { basename, resolve } from "node:path";
import { Readable } from "node:stream";
import { accessToken } from "../../config.ts";
import { EspalierError } from "../../errors.ts";
import type { Client } from "../shared/client.ts";
import { connectTo } from "../shared/connect-to.ts";
import { bar, count, LiveLine, megabytes } from "../shared/display.ts";
import { followRun } from "../shared/follow-run.ts";
import { filesOf, type LocalFile } from "./files-of.ts";

/** What is sent in one request: a connection that breaks costs no more. */
const pieceBytes = 64 * 2 ** 20;

type Source = { readonly uploadId: string } | { readonly hub: { readonly repository: string; readonly revision?: string } };

/**
 * Brings a model to a server, and tells how it goes.
 *
 * @param folder that `model` is relative to
 * @throws EspalierError with the server's words and code; MODEL_NOT_FOUND
 */
export async function importTo(server: string, folder: string, model: string, name: string | null): Promise<void> {
  const client = connectTo(server);
  const live = new LiveLine();
  try {
    const files = await filesOf(folder, model);
    const source = files ? await upload(client, server, files, live) : onHub(model);
    const called =
      name ?? (files ? basename(resolve(folder, model)).replace(/(?:-\d{5}-of-\d{5})?\.gguf$|\.(?:tar|zip|onnx)$/i, "") : null);
    const made = await follow(client, await start(client, source, called), live);
    live.line(`${made.name}: ${count(made.parameterCount)} parameters, id ${made.id}`);
    if (called !== null && made.name !== called) live.line(`  the same bytes were there already, under this name; not called ${called}`);
    for (const remark of made.remarks) live.line(`  ${remark}`);
  } finally {
    await client.close();
  }
}

/** @throws EspalierError MODEL_NOT_FOUND if it can be no repository either */
function onHub(model: string): Source {
  const [, repository, revision] = /^([\w.-]+\/[\w.-]+)(?:@([\w./-]+))?$/.exec(model) ?? [];
  if (repository === undefined || repository.startsWith("."))
    throw new EspalierError("MODEL_NOT_FOUND", `there is nothing at ${model}, and it is no OWNER/NAME of a Hub`, { model });
  return { hub: { repository, ...(revision === undefined ? {} : { revision }) } };
}

async function upload(client: Client, server: string, files: readonly LocalFile[], live: LiveLine): Promise<Source> {
  const announced = files.map(({ place: _, ...file }) => file);
  const { createUpload } = await client.request<{ createUpload: { upload: { id: string; files: { url: string }[] } } }>(
    `mutation ($files: [UploadFileInput!]!) { createUpload(input: { files: $files }) { upload { id files { url } } } }`,
    { files: announced },
  );
  const total = files.reduce((n, file) => n + file.sizeBytes, 0);
  let sent = 0;
  for (const [i, { place, path, sizeBytes }] of files.entries()) {
    const url = new URL(createUpload.upload.files[i]?.url as string, server).href;
    for (let from = 0; from < sizeBytes || sizeBytes === 0; from += pieceBytes) {
      const to = Math.min(sizeBytes, from + pieceBytes);
      await put(url, place, from, to, sizeBytes);
      sent += to - from;
      live.update(`${bar(sent / (total || 1))} ${megabytes(sent)} of ${megabytes(total)} sent: ${path}`);
      if (sizeBytes === 0) break;
    }
  }
  return { uploadId: createUpload.upload.id };
}

async function put(url: string, place: string, from: number, to: number, size: number): Promise<void> {
  const token = accessToken();
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  if (size > 0) Object.assign(headers, { "content-range": `bytes ${from}-${to - 1}/${size}`, "content-length": String(to - from) });
  const body = size > 0 ? Readable.toWeb(createReadStream(place, { start: from, end: to - 1, highWaterMark: 1 << 20 })) : "";
  const answer = await fetch(url, { method: "PUT", headers, body, duplex: "half" } as RequestInit);
  if (answer.ok) return;
  const { errors } = (await answer.json()) as { errors?: { message: string; extensions?: { code?: string } }[] };
  throw new EspalierError(errors?.[0]?.extensions?.code ?? "NO_CODE", errors?.[0]?.message ?? `${url} answered ${answer.status}`);
}

async function start(client: Client, source: Source, name: string | null): Promise<string> {
  const { startImport } = await client.request<{ startImport: { run: { id: string } } }>(
    `mutation ($input: StartImportInput!) { startImport(input: $input) { run { id } } }`,
    { input: { source, name } },
  );
  return startImport.run.id;
}

interface ImportedModel {
  readonly id: string;
  readonly name: string;
  readonly parameterCount: number;
  readonly remarks: readonly string[];
}

type ImportEvent =
  | { readonly __typename: "ImportProgressed"; readonly file: string; readonly progress: number }
  | { readonly __typename: "RunSucceeded"; readonly run: { readonly resultModel: ImportedModel } };

const wanted = `... on ImportProgressed { file progress }
  ... on RunSucceeded { run { resultModel { id name parameterCount remarks } } }`;

/** @throws EspalierError with the reason that the run failed for; CANCELLED */
async function follow(client: Client, id: string, live: LiveLine): Promise<ImportedModel> {
  for await (const event of followRun<ImportEvent>(client, id, wanted)) {
    if (event.__typename === "ImportProgressed") live.update(`${bar(event.progress)} ${event.file}`);
    if (event.__typename === "RunSucceeded") return event.run.resultModel;
  }
  throw new Error("the progress of the import ended early");
}
