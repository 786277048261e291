import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const reporter = fileURLToPath(new URL("first-failure.ts", import.meta.url));

/** What is not copied: what is linked or not needed. */
const leftOut = new Set(["node_modules", ".git", "dist", "data"]);

export interface TestRun {
  readonly passed: boolean;
  /** The first test that failed; null if it was not told, such as where the file could not be loaded. */
  readonly failed: string | null;
  readonly timedOut: boolean;
  readonly durationMs: number;
}

/** A copy of the checkout in which sources can be changed and tests run, with a folder of its own for temporary files. */
export class Workbench {
  private constructor(private readonly home: string) {}

  static async open(root: string): Promise<Workbench> {
    const home = await mkdtemp(join(tmpdir(), "espalier-mutants-"));
    // The user of the embedded PostgreSQL must be able to enter it.
    await chmod(home, 0o755);
    const bench = new Workbench(home);
    const source = resolve(root);
    await cp(source, bench.tree, { recursive: true, filter: (path) => !leftOut.has(path.slice(source.length + 1)) });
    await symlink(join(source, "node_modules"), join(bench.tree, "node_modules"), "junction");
    await mkdir(bench.temporary);
    return bench;
  }

  /** Where the copy's sources may note something. It is emptied before each test. */
  get notes(): string {
    return join(this.home, "notes");
  }

  private get tree(): string {
    return join(this.home, "checkout");
  }

  private get temporary(): string {
    return join(this.home, "tmp");
  }

  /** Gives a file of the copy another text. */
  async write(path: string, text: string): Promise<void> {
    await writeFile(join(this.tree, path), text);
  }

  /** Runs a test file up to its first failure, and ends whatever it started. */
  async run(test: string, timeLimitMs: number): Promise<TestRun> {
    await writeFile(this.notes, "");
    const begun = performance.now();
    const child = spawn(process.execPath, ["--import", "tsx", `--test-reporter=${reporter}`, test], {
      cwd: this.tree,
      env: { ...process.env, TMPDIR: this.temporary, TEMP: this.temporary, NODE_TEST_CONTEXT: undefined },
      stdio: ["ignore", "pipe", "ignore"],
      // A group of its own, so that it can be ended with all it started.
      detached: true,
    });
    let out = "";
    child.stdout.on("data", (data: Buffer) => (out += data));
    let timedOut = false;
    const endGroup = () => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // Nothing is left of it.
      }
    };
    const limit = setTimeout(() => {
      timedOut = true;
      endGroup();
    }, timeLimitMs);
    const [status] = await once(child, "exit");
    clearTimeout(limit);
    endGroup();
    await this.clear();
    const failed = out.trim().split("\n")[0] || null;
    return { passed: status === 0, failed, timedOut, durationMs: performance.now() - begun };
  }

  async close(): Promise<void> {
    await rm(this.home, { recursive: true, maxRetries: 5 });
  }

  /** Ends the database servers that a test left, which have groups of their own, and removes its temporary files. */
  private async clear(): Promise<void> {
    for (const name of await readdir(this.temporary)) {
      // What tsx compiled is kept for the next run.
      if (name.startsWith("tsx-")) continue;
      const path = join(this.temporary, name);
      const lock = await readFile(join(path, "postgres", "cluster", "postmaster.pid"), "utf8").catch(() => "");
      const pid = Number(lock.split("\n")[0]);
      try {
        if (pid > 0) process.kill(pid, "SIGQUIT");
      } catch {
        // It has ended.
      }
      await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    }
  }
}
