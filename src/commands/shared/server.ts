import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, openSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Config, ownServerEnvironment } from "../../config.ts";
import { EspalierError } from "../../errors.ts";
import { freePort } from "../../postgres/embedded-postgres.ts";

// In development these files are TypeScript, and their loader is among our own arguments.
const extension = extname(import.meta.url);
const program = fileURLToPath(new URL(`../../main${extension}`, import.meta.url));
const followParent = new URL(`follow-parent${extension}`, import.meta.url).href;
const startLimitMs = 60_000;
const stopLimitMs = 15_000;

export interface Server {
  readonly url: string;
  /** Rejects when the server ends without being asked to. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

const exited = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

/**
 * Starts this program's server as a process of its own and waits until it is healthy. Its log goes to `server.log` in the data folder.
 *
 * @param folders absolute; the data folder is made if it is not there
 * @throws EspalierError SERVER_ENDED, with the end of its log; SERVER_NOT_READY
 */
export async function startServer(folders: Pick<Config, "dataDirectory" | "modelRoot" | "datasetRoot">): Promise<Server> {
  mkdirSync(folders.dataDirectory, { recursive: true });
  const logFile = join(folders.dataDirectory, "server.log");
  const log = openSync(logFile, "w");
  const env = ownServerEnvironment(folders, await freePort());
  const child = spawn(process.execPath, [...process.execArgv, "--import", followParent, program, "start"], {
    env,
    stdio: ["ignore", log, log, "ipc"],
    // A process group of its own: Ctrl-C reaches the command alone, which then ends the server with one signal, not two.
    detached: true,
  });

  let stopping = false;
  const failed = once(child, "exit").then(([code, signal]): Promise<never> => {
    if (stopping) return new Promise(() => {});
    const tail = readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-15).join("\n");
    throw new EspalierError("SERVER_ENDED", `the server ended (${signal ?? `status ${code}`}); the end of ${logFile}:\n${tail}`);
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

  const url = `http://127.0.0.1:${env.PORT}`;
  const healthy = async (): Promise<void> => {
    const until = Date.now() + startLimitMs;
    while (Date.now() < until) {
      const answer = await fetch(`${url}/healthz`).catch(() => null);
      if (answer?.ok) return;
      await delay(100);
    }
    throw new EspalierError("SERVER_NOT_READY", `the server was not healthy within ${startLimitMs / 1000} s; see ${logFile}`);
  };
  try {
    await Promise.race([healthy(), failed]);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, failed, stop };
}
