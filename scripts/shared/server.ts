import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "../../src/store/embedded-postgres.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const followParent = new URL("follow-parent.mjs", import.meta.url).href;
const startLimitMs = 60_000;
const stopLimitMs = 15_000;

export interface Server {
  readonly url: string;
  /** Rejects when the server ends without being asked to. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

const exited = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

/** Folders that a server reads models and datasets from; its own where none is named. */
export interface Roots {
  readonly models?: string;
  readonly datasets?: string;
}

/** Starts the built server as a process of its own and waits until it is healthy. Its log goes to `server.log` in the data folder. */
export async function startServer(dataDirectory: string, roots: Roots = {}): Promise<Server> {
  const port = process.env["PORT"] ? Number(process.env["PORT"]) : await freePort();
  const logFile = join(dataDirectory, "server.log");
  const log = openSync(logFile, "w");
  // What the commands do is the same everywhere: of the settings only the port is the user's.
  const { DATABASE_URL, ESPALIER_ROLE, ESPALIER_MODEL_ROOT, ESPALIER_DATASET_ROOT, ESPALIER_FIRST_TOKEN, HOST, ...environment } =
    process.env;
  const folders = {
    ...(roots.models ? { ESPALIER_MODEL_ROOT: roots.models } : {}),
    ...(roots.datasets ? { ESPALIER_DATASET_ROOT: roots.datasets } : {}),
  };
  const child = spawn(process.execPath, ["--enable-source-maps", "--import", followParent, join(root, "dist/main.js")], {
    cwd: root,
    env: { ...environment, ...folders, PORT: String(port), ESPALIER_DATA_DIRECTORY: dataDirectory },
    stdio: ["ignore", log, log, "ipc"],
    // A process group of its own: Ctrl-C reaches the command alone, which then ends the server with one signal, not two.
    detached: true,
  });

  let stopping = false;
  const failed = once(child, "exit").then(([code, signal]): Promise<never> => {
    if (stopping) return new Promise(() => {});
    const tail = readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-15).join("\n");
    throw new Error(`the server ended (${signal ?? `status ${code}`}); the end of ${logFile}:\n${tail}`);
  });
  failed.catch(() => {});

  const stop = async (): Promise<void> => {
    stopping = true;
    if (exited(child)) return;
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), stopLimitMs);
    await once(child, "exit");
    clearTimeout(late);
  };

  const url = `http://127.0.0.1:${port}`;
  const healthy = async (): Promise<void> => {
    const until = Date.now() + startLimitMs;
    while (Date.now() < until) {
      const answer = await fetch(`${url}/healthz`).catch(() => null);
      if (answer?.ok) return;
      await delay(100);
    }
    throw new Error(`the server was not healthy within ${startLimitMs / 1000} s; see ${logFile}`);
  };
  try {
    await Promise.race([healthy(), failed]);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, failed, stop };
}
