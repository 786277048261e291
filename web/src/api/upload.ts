import { ask } from "./ask.ts";
import { Failure, unreachable } from "./failure.ts";
import { graphql } from "./graphql.ts";
import { authorization } from "./session.svelte.ts";

/** A file to send, with its path in the model's folder. */
export interface FileToSend {
  readonly path: string;
  readonly file: File;
}

const createDocument = graphql(`
  mutation CreateUpload($input: CreateUploadInput!) {
    createUpload(input: $input) { upload { id files { path url } } }
  }
`);

const pieceBytes = 16_000_000;
/** Attempts in a row of which none gets any further. */
const mostAttempts = 6;

/**
 * Sends files. A piece that is cut off is sent anew from where the server has it.
 *
 * @param progress is told how many bytes are there
 * @returns the upload's id
 * @throws Failure what the server refused; UNREACHABLE when it stays away. Aborted, it throws the signal's reason
 */
export async function sendFiles(files: readonly FileToSend[], progress: (bytes: number) => void, signal: AbortSignal): Promise<string> {
  const announced = files.map(({ path, file }) => ({ path, sizeBytes: file.size }));
  const { upload } = (await ask(createDocument, { input: { files: announced } }, signal)).createUpload;
  const byPath = new Map(files.map(({ path, file }) => [path, file]));
  let before = 0;
  for (const { path, url } of upload.files) {
    const file = byPath.get(path) as File;
    await sendFile(url.replace(/^\//, ""), file, (bytes) => progress(before + bytes), signal);
    before += file.size;
  }
  return upload.id;
}

async function sendFile(url: string, file: File, progress: (bytes: number) => void, signal: AbortSignal): Promise<void> {
  let [at, attempts] = [0, 0];
  do {
    try {
      const end = Math.min(file.size, at + pieceBytes);
      await put(url, file, at, end, progress, signal);
      [at, attempts] = [end, 0];
    } catch (failure) {
      signal.throwIfAborted();
      if (!(failure instanceof Failure) || failure.code !== "UNREACHABLE" || ++attempts === mostAttempts) throw failure;
      await new Promise((resolve) => setTimeout(resolve, 300 * 2 ** attempts));
      const there = await fetch(url, { method: "HEAD", headers: authorization(), signal }).catch(() => null);
      at = Number(there?.headers.get("upload-offset") ?? at);
    }
    progress(at);
  } while (at < file.size);
}

/** By XMLHttpRequest, for it alone tells how much has gone. */
function put(url: string, file: File, from: number, end: number, progress: (bytes: number) => void, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    if (end > from) request.setRequestHeader("content-range", `bytes ${from}-${end - 1}/${file.size}`);
    request.upload.onprogress = ({ loaded }) => progress(from + loaded);
    request.onerror = () => reject(unreachable());
    request.onload = () => (request.status < 300 ? resolve() : reject(refusal(request.responseText)));
    const abort = () => {
      request.abort();
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort);
    request.onloadend = () => signal.removeEventListener("abort", abort);
    request.send(file.slice(from, end));
  });
}

function refusal(text: string): Failure {
  try {
    const { error = {}, code = error.code, message = error.message } = JSON.parse(text);
    return new Failure(String(code ?? "UPLOAD_REFUSED"), String(message ?? "the server did not take the file"));
  } catch {
    return new Failure("UPLOAD_REFUSED", "the server did not take the file");
  }
}
