import { ComputeProcess } from "../compute/compute-process.ts";
import type { TaskName, Tasks } from "../compute/tasks.ts";
import { EspalierError } from "../errors.ts";
import { throughReconnects } from "../store/reconnect.ts";
import type { JobServices } from "./worker.ts";

/** A compute process that died is started again. So often in a row, without coming further between, the job has failed. */
const patience: Readonly<Record<string, number>> = { OUT_OF_MEMORY: 2, COMPUTE_PROCESS_DIED: 3, killed: 20 };

/** What a job has a compute process do, and again in a new one where that dies. */
export interface Work<Name extends TaskName> {
  readonly task: Name;
  /** What is left to do. Asked for anew for each process. */
  request(): Promise<Tasks[Name]["request"]>;
  /** Stores what an event reports. True if that is not lost with the process: the job has come further. */
  record(event: Tasks[Name]["event"]): Promise<boolean>;
  /** Clears up after a process that had no time to. */
  tidy(): Promise<void>;
  /** What was being done, and what would take less memory: for people, where there was too little. */
  outOfMemory(): { readonly what: string; readonly advice: string };
}

function givenUp(
  error: EspalierError,
  deaths: number,
  { what, advice }: { readonly what: string; readonly advice: string },
): EspalierError {
  const { code, message, details } = error;
  if (code !== "OUT_OF_MEMORY") return error;
  return new EspalierError(code, `${what} ran out of memory, ${deaths} times in a row (${message}); ${advice}`, details, { cause: error });
}

/**
 * Has a job's work done in a compute process, and what is left of it in another if that dies.
 *
 * @throws EspalierError what the task throws; OUT_OF_MEMORY, COMPUTE_PROCESS_DIED once patience is over; the signal's reason
 */
export async function computeAgain<Name extends TaskName>(
  { logger }: Pick<JobServices, "logger">,
  jobId: string,
  work: Work<Name>,
  signal: AbortSignal,
): Promise<Tasks[Name]["result"]> {
  const process = new ComputeProcess();
  const end = async () => {
    await process.kill();
    await work.tidy();
  };
  let deaths: Record<string, number> = {};
  try {
    for (;;) {
      const request = await throughReconnects(signal, () => work.request());
      try {
        const steps = process.run(work.task, request, signal);
        for (let step = await steps.next(); ; step = await steps.next()) {
          if (step.done) return step.value;
          if (await work.record(step.value)) deaths = {};
        }
      } catch (error) {
        if (!(error instanceof EspalierError) || patience[error.code] === undefined) throw error;
        const cause = error.details["killed"] ? "killed" : error.code;
        deaths[cause] = (deaths[cause] ?? 0) + 1;
        if (deaths[cause] === patience[cause]) throw givenUp(error, deaths[cause], work.outOfMemory());
        logger.warn({ err: error, jobId }, "the compute process died; going on in a new one");
        // One that only said so may hold much of the memory.
        await end();
      }
    }
  } finally {
    await end();
  }
}
