import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Where `npm run llama-cpp:install` puts llama.cpp. */
const installed = fileURLToPath(new URL("../../node_modules/.llama-cpp/node_modules/@node-llama-cpp/", import.meta.url));

/** The folder of llama.cpp's libraries; null where it is not installed. */
function libraries(): string | null {
  if (!existsSync(installed)) return null;
  const folders = readdirSync(installed).map((platform) => join(installed, platform, "bins", platform));
  return folders.find((folder) => existsSync(join(folder, "llama-addon.node"))) ?? null;
}

/** Why tests with llama.cpp are skipped, or false. */
export const withoutLlamaCpp: string | false = libraries() === null && "llama.cpp is not here (npm run llama-cpp:install)";

/** What is asked of a GGUF file. */
export interface LlamaCppRequest {
  readonly path: string;
  /** A text, to be cut into tokens as the file says, with what begins a text; or tokens as they are. */
  readonly prompt: string | readonly number[];
  readonly vocabulary: number;
  /** How many tokens are to be written after it, by greedy choice. */
  readonly count: number;
}

/** What llama.cpp makes of it. */
export interface LlamaCppAnswer {
  /** Why the file was not loaded; else all that follows is there. */
  readonly refused?: string;
  readonly tokens: readonly number[];
  readonly text: readonly number[];
  /** Of the tokens [T, V]. */
  readonly logits: Float32Array;
}

/** Runs llama.cpp in a process of its own on each file: where it fails an assertion, it ends the process. */
export async function runLlamaCpp(requests: readonly LlamaCppRequest[]): Promise<readonly LlamaCppAnswer[]> {
  const runner = fileURLToPath(new URL("llama-cpp-runner.mjs", import.meta.url));
  const child = spawn(process.execPath, [runner, libraries() as string]);
  let [output, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  child.stdin.end(JSON.stringify(requests));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`llama.cpp ended with ${code}: ${errors.slice(-3000)}`);
  const answers = JSON.parse(output) as (Omit<LlamaCppAnswer, "logits"> & { readonly logits?: string })[];
  return answers.map(({ logits, ...answer }) => ({
    ...answer,
    logits: new Float32Array(new Uint8Array(Buffer.from(logits ?? "", "base64")).buffer),
  }));
}
