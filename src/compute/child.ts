import { setImmediate } from "node:timers/promises";
import { findCredentialsBy } from "../artifacts/s3-credentials.ts";
import { diskFull, EspalierError } from "../errors.ts";
import { askParent, hearParent } from "./parents-credentials.ts";
import type { AboutRun, ComputeError, ToCompute } from "./protocol.ts";
import { signOfLife } from "./sign-of-life.ts";
import type { TaskName, Tasks } from "./tasks.ts";
import { withoutPaths } from "./without-paths.ts";

/** Runs a task: yields its events and returns its result. The signal aborts once nobody waits for it any more. */
export type Task<Name extends TaskName> = (
  request: Tasks[Name]["request"],
  signal: AbortSignal,
) => AsyncGenerator<Tasks[Name]["event"], Tasks[Name]["result"]>;

/** Loaded at first use: a process that only inspects models need not load ONNX Runtime. */
const tasks: { readonly [Name in TaskName]: () => Promise<Task<Name>> } = {
  providers: async () => (await import("./tasks/providers.ts")).providersTask,
  inspect: async () => (await import("./tasks/inspect.ts")).inspectTask,
  import: async () => (await import("./tasks/import.ts")).importTask,
  prune: async () => (await import("./tasks/prune.ts")).pruneTask,
  recover: async () => (await import("./tasks/recover.ts")).recoverTask,
  compress: async () => (await import("./tasks/compress.ts")).compressTask,
  readDataset: async () => (await import("./tasks/read-dataset.ts")).readDatasetTask,
  overlap: async () => (await import("./tasks/overlap.ts")).overlapTask,
  evaluate: async () => (await import("./tasks/evaluate.ts")).evaluateTask,
  export: async () => (await import("./tasks/export.ts")).exportTask,
  exportObstacle: async () => (await import("./tasks/export.ts")).exportObstacleTask,
  generate: async () => (await import("./tasks/serve.ts")).generateTask,
  score: async () => (await import("./tasks/serve.ts")).scoreTask,
  embed: async () => (await import("./tasks/serve.ts")).embedTask,
  classify: async () => (await import("./tasks/serve.ts")).classifyTask,
  fillMask: async () => (await import("./tasks/serve.ts")).fillMaskTask,
};

/** What is under way, by the run's id. */
const running = new Map<number, AbortController>();

// Sending fails only when the parent is gone, and then so are we.
const say = (message: AboutRun): void => void process.send?.(message, undefined, undefined, () => {});

/** What ONNX Runtime, CUDA and Node say when an allocation fails. */
const noMemory =
  /bad[_ ]?alloc|failed to allocate memory|out of memory|array buffer allocation failed|invalid (typed )?array( buffer)? length/i;

function toComputeError(error: unknown, request: Tasks[TaskName]["request"]): ComputeError {
  const { message, stack = message } = error instanceof Error ? error : new Error(String(error));
  if (error instanceof EspalierError) {
    const { code, details } = error;
    return { code, ...withoutPaths(request)({ message, details }), stack };
  }
  const full = diskFull(error);
  if (full) return { code: full.code, message: full.message, details: {}, stack };
  return { code: noMemory.test(message) ? "OUT_OF_MEMORY" : "INTERNAL", message, details: {}, stack };
}

async function run(id: number, name: TaskName, request: Tasks[TaskName]["request"], signal: AbortSignal): Promise<void> {
  try {
    const task = (await tasks[name]()) as Task<TaskName>;
    const steps = task(request, signal);
    for (let step = await steps.next(); ; step = await steps.next()) {
      if (step.done) return say({ id, kind: "result", result: step.value });
      say({ id, kind: "event", event: step.value });
      // ONNX Runtime holds the thread: this is when a cancellation can come in.
      await setImmediate();
      if (signal.aborted) return void (await steps.return(undefined as never));
    }
  } catch (error) {
    say({ id, kind: "error", error: toComputeError(error, request) });
  } finally {
    running.delete(id);
  }
}

findCredentialsBy(askParent);

process.on("message", (message: ToCompute) => {
  if ("asked" in message) return hearParent(message);
  if ("cancel" in message) {
    running.get(message.id)?.abort(new EspalierError("CANCELLED", "nobody waits for the result any more"));
    return;
  }
  const cancelling = new AbortController();
  running.set(message.id, cancelling);
  void run(message.id, message.task, message.request, cancelling.signal);
});
setInterval(() => running.size > 0 && signOfLife(), 1000).unref();
process.on("disconnect", () => process.exit());
// Ctrl-C reaches every process of the terminal; the parent decides when this one ends.
process.on("SIGINT", () => {});
