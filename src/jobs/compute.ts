import { setImmediate } from "node:timers/promises";
import { EspalierError } from "../errors.ts";
import type { ComputeError, FromCompute, ToCompute } from "./compute-protocol.ts";
import type { TaskName, Tasks } from "./tasks.ts";

/** Runs a task: yields its events and returns its result. */
export type Task<Name extends TaskName> = (request: Tasks[Name]["request"]) => AsyncGenerator<Tasks[Name]["event"], Tasks[Name]["result"]>;

/** Loaded at first use: a process that only inspects models need not load ONNX Runtime. */
const tasks: { readonly [Name in TaskName]: () => Promise<Task<Name>> } = {
  inspect: async () => (await import("./tasks/inspect.ts")).inspectTask,
  prune: async () => (await import("./tasks/prune.ts")).pruneTask,
  overlap: async () => (await import("./tasks/overlap.ts")).overlapTask,
  evaluate: async () => (await import("./tasks/evaluate.ts")).evaluateTask,
  generate: async () => (await import("./tasks/generate.ts")).generateTask,
};

const cancelled = new Set<number>();

// Sending fails only when the parent is gone, and then so are we.
const say = (message: FromCompute): void => void process.send?.(message, undefined, undefined, () => {});

function toComputeError(error: unknown): ComputeError {
  const { message, stack = message } = error instanceof Error ? error : new Error(String(error));
  return error instanceof EspalierError
    ? { code: error.code, message, details: error.details, stack }
    : { code: "INTERNAL", message, details: {}, stack };
}

async function run(id: number, name: TaskName, request: Tasks[TaskName]["request"]): Promise<void> {
  try {
    const task = (await tasks[name]()) as Task<TaskName>;
    const steps = task(request);
    for (let step = await steps.next(); ; step = await steps.next()) {
      if (step.done) return say({ id, kind: "result", result: step.value });
      say({ id, kind: "event", event: step.value });
      // ONNX Runtime holds the thread: this is when a cancellation can come in.
      await setImmediate();
      if (cancelled.has(id)) return void (await steps.return(undefined as never));
    }
  } catch (error) {
    say({ id, kind: "error", error: toComputeError(error) });
  } finally {
    cancelled.delete(id);
  }
}

const running = new Set<number>();
process.on("message", (message: ToCompute) => {
  if ("cancel" in message) {
    if (running.has(message.id)) cancelled.add(message.id);
    return;
  }
  running.add(message.id);
  void run(message.id, message.task, message.request).finally(() => running.delete(message.id));
});
process.on("disconnect", () => process.exit());
// Ctrl-C reaches every process of the terminal; the parent decides when this one ends.
process.on("SIGINT", () => {});
