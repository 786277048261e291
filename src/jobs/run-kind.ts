import type { TaskName, Tasks } from "../compute/tasks.ts";
import type { PayloadOf } from "../store/events.ts";
import { beginAnew, type RunClaim, recordProgress } from "../store/run-progress.ts";
import type { RunKind, RunRecord } from "../store/runs.ts";
import type { Database } from "../store/store.ts";
import type { AccessRole } from "../store/tokens.ts";
import type { JobServices } from "./worker.ts";

/**
 * What is particular to a kind of run. All else is the same for all: waiting, being taken up, going on after a crash, ending. The task
 * does the work, in a compute process; what is here says what it is given, how what it reports is stored, and where it goes on.
 */
export interface KindOfRun<Kind extends RunKind = RunKind, Name extends TaskName = TaskName> {
  /** A sentence for people. */
  readonly description: string;
  /** What a client must be to start one, to cancel it and to resume it. */
  readonly role: AccessRole;
  /** The name of its queue; jobs that ask for a provider lie in one of that name and the provider's. */
  readonly queue: string;
  /** Does the work: yields events, returns what came of it. */
  readonly task: Name;
  /** Whether a model comes of it, which other runs can wait for. */
  readonly makesModel: boolean;
  /**
   * Requires of the model what was asked of it before it was there, once that is.
   *
   * @throws EspalierError what asking for the run would have thrown
   */
  fits(services: JobServices, run: RunRecord<Kind>): Promise<void>;
  /** What is left to do. Asked for anew for each compute process. */
  request(services: JobServices, run: RunRecord<Kind>, scratch: string): Promise<Tasks[Name]["request"]>;
  /** Whether an event only says how far the work is. Such come faster than people look: they are stored now and then, and may be lost. */
  isPassing(event: Tasks[Name]["event"]): boolean;
  /**
   * Stores what an event reports; nothing if that was done, by a commit whose answer was lost.
   *
   * @returns whether it was a step: it is not lost with the process
   * @throws EspalierError RUN_LOST
   */
  record(services: JobServices, run: RunRecord<Kind>, event: Tasks[Name]["event"]): Promise<boolean>;
  /** Stores what came of the work, and that the run has succeeded. @throws EspalierError RUN_LOST */
  succeed(services: JobServices, run: RunRecord<Kind>, result: Tasks[Name]["result"]): Promise<void>;
  /** Notes that a worker takes it up, in the transaction in which it does. */
  begin(tx: Database, run: RunRecord<Kind>): Promise<void>;
  /** How many steps it has stored, which no worker does again. */
  steps(db: Database, runId: string): Promise<number>;
  /** Where it goes on when it is resumed, for its event. */
  stands(tx: Database, run: RunRecord<Kind>): Promise<PayloadOf<"RESUMED">>;
  /** What is done after so many steps, and what would take less memory: for people, where there was too little. */
  outOfMemory(steps: number): { readonly what: string; readonly advice: string };
}

/** Of a kind that stores nothing before its end: each process begins anew, and events tell how much is done. */
export const withoutSteps = {
  isPassing: () => true,
  async record(
    { store }: JobServices,
    run: RunClaim,
    { done, total }: { readonly done: number; readonly total: number },
  ): Promise<boolean> {
    await recordProgress(store, run, { progress: done / (total || 1) });
    return false;
  },
  begin: beginAnew,
  steps: async () => 0,
  stands: async () => ({}),
};
