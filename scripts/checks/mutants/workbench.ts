import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { chmod, mkdir, mkdtemp, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const extension = extname(import.meta.url);
const reporter = fileURLToPath(new URL(`first-failure${extension}`, import.meta.url));
const noteTests = new URL(`note-tests${extension}`, import.meta.url).href;

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
  /** The process group of the test that runs. */
  private group: number | undefined;
  /** Also where the program ends in the middle. */
  readonly close = (): void => {
    process.off("exit", this.close);
    this.endTest();
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
  };

  private constructor(private readonly home: string) {
    process.once("exit", this.close);
  }

  static async open(root: string): Promise<Workbench> {
    const home = await mkdtemp(join(tmpdir(), "espalier-mutants-"));
    // The user of the embedded PostgreSQL must be able to enter it.
    await chmod(home, 0o755);
    await mkdir(join(home, "tmp"));
    const bench = new Workbench(home);
    const source = resolve(root);
    // In one go: what is still being copied when the program ends would be left behind.
    cpSync(source, bench.tree, { recursive: true, filter: (path) => !leftOut.has(path.slice(source.length + 1)) });
    await symlink(join(source, "node_modules"), join(bench.tree, "node_modules"), "junction");
    return bench;
  }

  /** Where the copy's sources may note something. It is emptied before each test. */
  get notes(): string {
    return join(this.home, "notes");
  }

  /** The copy. */
  get tree(): string {
    return join(this.home, "checkout");
  }

  private get temporary(): string {
    return join(this.home, "tmp");
  }

  /** Gives a file of the copy another text. */
  async write(path: string, text: string): Promise<void> {
    await writeFile(join(this.tree, path), text);
  }

  /**
   * Runs a test file up to its first failure, and ends whatever it started.
   *
   * @param names the tests of the file to run; all if not given
   */
  async run(test: string, timeLimitMs: number, names: readonly string[] = []): Promise<TestRun> {
    await writeFile(this.notes, "");
    const begun = performance.now();
    const only = names.map((name) => `--test-name-pattern=/^${name.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&")}$/`);
    const child = spawn(
      process.execPath,
      ["--import", import.meta.resolve("tsx"), "--import", noteTests, `--test-reporter=${reporter}`, ...only, test],
      {
        cwd: this.tree,
        env: {
          ...process.env,
          TMPDIR: this.temporary,
          TEMP: this.temporary,
          ESPALIER_TEST_NOTES: this.notes,
          NODE_TEST_CONTEXT: undefined,
        },
        stdio: ["ignore", "pipe", "ignore"],
        // A group of its own, so that it can be ended with all it started.
        detached: true,
      },
    );
    let out = "";
    child.stdout.on("data", (data: Buffer) => (out += data));
    this.group = child.pid;
    const closed = once(child, "close");
    let timedOut = false;
    const limit = setTimeout(() => {
      timedOut = true;
      this.endTest();
    }, timeLimitMs);
    const [status] = await once(child, "exit");
    clearTimeout(limit);
    this.endTest();
    await closed;
    const failed = out.trim().split("\n")[0] || null;
    return { passed: status === 0, failed, timedOut, durationMs: performance.now() - begun };
  }

  /** Ends what a test left, database servers too, which have groups of their own, and removes its temporary files. */
  private endTest(): void {
    if (this.group !== undefined) end(-this.group, "SIGKILL");
    this.group = undefined;
    for (const name of readdirSync(this.temporary)) {
      // What tsx compiled is kept for the next run.
      if (name.startsWith("tsx-")) continue;
      const path = join(this.temporary, name);
      const lock = join(path, "postgres", "cluster", "postmaster.pid");
      if (existsSync(lock)) end(Number.parseInt(readFileSync(lock, "utf8"), 10), "SIGQUIT");
      rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    }
  }
}

/** Ends a process or, negative, a group, if there is one. */
function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
