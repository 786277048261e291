import { EspalierError } from "../errors.ts";
import { ComputeProcess } from "./compute-process.ts";
import { Gate } from "./gate.ts";
import type { TaskName, Tasks } from "./tasks.ts";

/** Each process takes some 160 MB before it has read anything, and a core. */
const gate = new Gate(2, 16);

/** Describing a model reads and copies all of its files. */
const longestMs = 30 * 60_000;

/**
 * Runs a task without events in a process of its own, which ends with it: when it is done, when the signal aborts, or when it is late.
 * Few such processes run at a time, and few requests wait for one.
 *
 * @throws EspalierError what the task throws; OVERLOADED; TIME_LIMIT; the signal's reason
 */
export function computeOnce<Name extends TaskName>(
  task: Name,
  request: Tasks[Name]["request"],
  signal: AbortSignal,
): Promise<Tasks[Name]["result"]> {
  return gate.pass(signal, async () => {
    const compute = new ComputeProcess();
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new EspalierError("TIME_LIMIT", `the work was not done within ${longestMs} ms`)), longestMs);
    try {
      const steps = compute.run(task, request, AbortSignal.any([signal, late.signal]));
      for (let step = await steps.next(); ; step = await steps.next()) if (step.done) return step.value;
    } finally {
      clearTimeout(timer);
      await compute.kill();
    }
  });
}
