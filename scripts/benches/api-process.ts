import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The API in a process of its own, as `npm start` has it, on a database that is there; the program must have been built. */
export async function startApi(databaseUrl: string, dataDirectory: string): Promise<{ api: ChildProcess; url: string }> {
  const program = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
  const env = { ...process.env, DATABASE_URL: databaseUrl, ESPALIER_DATA_DIRECTORY: dataDirectory, PORT: "0", LOG_LEVEL: "warn" };
  const api = spawn(process.execPath, [program, "api"], { env, stdio: ["ignore", "pipe", "inherit"] });
  const [said] = (await once(api.stdout, "data")) as [Buffer];
  const [url = ""] = /http:\S+/.exec(String(said)) ?? [];
  return { api, url };
}

/** What a process holds of memory. */
export const residentMiB = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
