import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type EmbeddedPostgres, freePort, startEmbeddedPostgres } from "../../../src/postgres/embedded-postgres.ts";
import { nodeArguments } from "../../../test/support/checkout.ts";

/** What can be killed. */
export const victims = ["worker", "compute", "api", "postgres"] as const;
export type Victim = (typeof victims)[number];

/** A process of the program that is started again whenever it ends. */
class Kept {
  private child: ChildProcess | undefined;
  private over = false;

  constructor(
    private readonly role: "api" | "worker",
    private readonly environment: Readonly<Record<string, string>>,
    private readonly log: number,
  ) {
    this.start();
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  private start(): void {
    const env = { ...process.env, ...this.environment };
    this.child = spawn(process.execPath, [...nodeArguments("src/main"), this.role], { env, stdio: ["ignore", this.log, this.log] });
    this.child.once("exit", () => {
      this.child = undefined;
      // While the database is away, a process cannot start: not too fast.
      if (!this.over) setTimeout(() => this.over || this.start(), 200);
    });
  }

  async stop(): Promise<void> {
    this.over = true;
    const { child } = this;
    if (!child) return;
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    await exited;
  }
}

/** The compute processes of a process: its children that run the compute program. */
async function computeProcessesOf(parent: number): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const [stat, line] = await Promise.all(["stat", "cmdline"].map((file) => readFile(`/proc/${entry}/${file}`, "utf8").catch(() => "")));
    // pid (name) state ppid ...
    const [state, ppid] = (stat?.slice(stat.lastIndexOf(")") + 2) ?? "").split(" ");
    if (Number(ppid) === parent && state !== "Z" && /compute.child\.[jt]s/.test(line ?? "")) found.push(Number(entry));
  }
  return found;
}

/** One PostgreSQL, some API processes and some workers, each in a process of its own, that share a data directory. */
export class Cluster {
  private constructor(
    private readonly dataDirectory: string,
    private readonly postgres: EmbeddedPostgres,
    private readonly apis: readonly Kept[],
    private readonly workers: readonly Kept[],
    /** Of the APIs. */
    readonly urls: readonly string[],
    private readonly log: number,
  ) {}

  static async start(dataDirectory: string, apis: number, workers: number): Promise<Cluster> {
    const postgres = await startEmbeddedPostgres(dataDirectory);
    const log = openSync(join(dataDirectory, "processes.log"), "a");
    const environment = { DATABASE_URL: postgres.url, ESPALIER_DATA_DIRECTORY: dataDirectory, LOG_LEVEL: "warn" };
    const ports = await Promise.all(Array.from({ length: apis }, freePort));
    return new Cluster(
      dataDirectory,
      postgres,
      ports.map((port) => new Kept("api", { ...environment, PORT: String(port) }, log)),
      Array.from({ length: workers }, () => new Kept("worker", { ...environment, ESPALIER_WORKER_PROVIDERS: "CPU" }, log)),
      ports.map((port) => `http://127.0.0.1:${port}`),
      log,
    );
  }

  get databaseUrl(): string {
    return this.postgres.url;
  }

  /** Resolves when all APIs answer. */
  async ready(): Promise<void> {
    for (const url of this.urls) while (!(await fetch(`${url}/healthz`).catch(() => null))?.ok) await delay(50);
  }

  /** The processes of a kind that run now. */
  async running(victim: Victim): Promise<number[]> {
    const pids = (kept: readonly Kept[]) => kept.flatMap(({ pid }) => pid ?? []);
    switch (victim) {
      case "worker":
        return pids(this.workers);
      case "api":
        return pids(this.apis);
      case "compute":
        return (await Promise.all(pids(this.workers).map(computeProcessesOf))).flat();
      case "postgres": {
        const lock = await readFile(join(this.dataDirectory, "postgres", "cluster", "postmaster.pid"), "utf8").catch(() => "");
        const lines = lock.split("\n");
        return lines[7]?.trim() === "ready" ? [Number(lines[0])] : [];
      }
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.apis, ...this.workers].map((kept) => kept.stop()));
    await this.postgres.stop();
    closeSync(this.log);
  }
}
