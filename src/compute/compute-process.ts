import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { findCredentials } from "../artifacts/s3-credentials.ts";
import { Channel } from "../channel.ts";
import { childEnvironment } from "../child-environment.ts";
import { EspalierError } from "../errors.ts";
import { causeOfDeath, outOfMemoryKills } from "./cause-of-death.ts";
import type { AboutRun, FromCompute, ToCompute } from "./protocol.ts";
import { type ComputePatience, type Occupation, patienceMs } from "./sign-of-life.ts";
import type { TaskName, Tasks } from "./tasks.ts";

// In development this file is TypeScript and its loader is among our own arguments, which a forked process inherits.
const program = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url));

/** So much of what a process wrote to its standard error is kept, to tell what it died of. */
const lastWordsLength = 8192;

type Message = AboutRun extends infer M ? M : never;

/**
 * A process for work that holds a thread, may use up the memory or may crash: it takes only its own runs with it. It starts
 * at the first run, and again at the next if it died.
 */
export class ComputeProcess {
  private child: ChildProcess | undefined;
  private readonly inboxes = new Map<number, Channel<Message>>();
  private lastId = 0;

  constructor(private readonly patience: ComputePatience = patienceMs) {}

  /** Of the process while it runs. */
  get pid(): number | undefined {
    return this.child?.pid;
  }

  /**
   * Runs a task: yields its events and returns its result. Leaving the generator early, or aborting, cancels the task at its
   * next event; `kill` stops it at once.
   *
   * @throws EspalierError what the task throws, INTERNAL for what it should not throw; OUT_OF_MEMORY or COMPUTE_PROCESS_DIED
   *   if the process ended, COMPUTE_STALLED if it was ended because it gave no sign of life; or the signal's reason
   */
  async *run<Name extends TaskName>(
    task: Name,
    request: Tasks[Name]["request"],
    signal?: AbortSignal,
  ): AsyncGenerator<Tasks[Name]["event"], Tasks[Name]["result"]> {
    signal?.throwIfAborted();
    const id = ++this.lastId;
    const inbox = new Channel<Message>();
    const abort = () => inbox.fail(signal?.reason, true);
    signal?.addEventListener("abort", abort, { once: true });
    this.inboxes.set(id, inbox);
    let over = false;
    try {
      this.send({ id, task, request });
      for await (const message of inbox.taken()) {
        over = message.kind !== "event";
        if (message.kind === "event") yield message.event as Tasks[Name]["event"];
        else if (message.kind === "result") return message.result as Tasks[Name]["result"];
        else throw toError(message.error);
      }
      throw new Error("the messages of a run end with its result or an error");
    } finally {
      signal?.removeEventListener("abort", abort);
      this.inboxes.delete(id);
      if (!over && this.child) this.send({ id, cancel: true });
    }
  }

  /** Ends the process at once, and with it every run: they throw COMPUTE_PROCESS_DIED. */
  async kill(): Promise<void> {
    const { child } = this;
    if (!child) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  private send(message: ToCompute): void {
    this.child ??= this.start();
    // If it cannot be sent the process is dying, which its exit will tell.
    this.child.send(message, () => {});
  }

  private start(): ChildProcess {
    const killsBefore = outOfMemoryKills();
    const child = fork(program, [], { serialization: "advanced", env: childEnvironment(), stdio: ["ignore", "inherit", "pipe", "ipc"] });
    let lastWords = "";
    child.stderr?.on("data", (data: Buffer) => {
      process.stderr.write(data);
      lastWords = (lastWords + data).slice(-lastWordsLength);
    });
    let at: Occupation = "WORKING";
    let silentTicks = 0;
    child.on("message", (message: FromCompute) => {
      silentTicks = 0;
      if (message.kind === "alive") at = message.at;
      else if (message.kind === "credentials") void giveCredentials(child, message.asked);
      else this.inboxes.get(message.id)?.push(message);
    });
    // Counted, not measured: while this process is held up itself, what the other says lies unread.
    const watch = setInterval(() => {
      silentTicks = this.inboxes.size > 0 ? silentTicks + 1 : 0;
      if (silentTicks * tickMs < this.patience[at]) return;
      died(stalled(at, this.patience[at]));
      child.kill("SIGKILL");
    }, tickMs);
    watch.unref();
    const died = (error: EspalierError) => {
      clearInterval(watch);
      if (this.child !== child) return;
      this.child = undefined;
      for (const inbox of this.inboxes.values()) inbox.fail(error);
    };
    child.once("error", ({ message }) =>
      died(new EspalierError("COMPUTE_PROCESS_DIED", `the compute process could not start: ${message}`, { pid: child.pid })),
    );
    // After its last words, which "exit" does not wait for.
    child.once("close", (status, signal) => died(causeOfDeath({ pid: child.pid, status, signal, lastWords, killsBefore })));
    return child;
  }
}

async function giveCredentials(child: ChildProcess, asked: number): Promise<void> {
  const answer: ToCompute = await findCredentials().then(
    (credentials) => ({ asked, credentials }),
    (error: Error) => ({ asked, noCredentials: error.message }),
  );
  child.send(answer, () => {});
}

const tickMs = 250;

const whatFor: Readonly<Record<Occupation, string>> = {
  WORKING: "at its work",
  LOADING: "loading the model",
  WRITING: "running the model",
  READING_TEXT: "reading a text with the model's own tokenizer or chat template",
};

const stalled = (at: Occupation, silenceMs: number): EspalierError =>
  new EspalierError("COMPUTE_STALLED", `the compute process gave no sign of life for ${silenceMs} ms, ${whatFor[at]}, and was ended`, {
    at,
    silenceMs,
  });

function toError({ code, message, details, stack }: (AboutRun & { kind: "error" })["error"]): EspalierError {
  const error = new EspalierError(code, message, details);
  error.stack = stack;
  return error;
}
