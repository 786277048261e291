import { EspalierError } from "../errors.ts";
import { throughReconnects } from "../store/reconnect.ts";
import type { FailureRecord } from "../store/runs.ts";
import { failureOf, hasCode } from "./failure.ts";
import { watchClaim } from "./watch-claim.ts";
import type { JobServices } from "./worker.ts";

/** What jobs of a kind are about, in the database: all but the doing. */
export interface Subject<Claim> {
  /** Takes it up; null if there is nothing to do: it is over or gone. */
  claim(): Promise<Claim | null>;
  /** Whether the claim stands. */
  holds(claim: Claim): Promise<boolean>;
  /** Puts it back to QUEUED, unless the claim stands no more. */
  release(claim: Claim): Promise<void>;
  /** Says why it failed; nothing if it is over. */
  fail(failure: FailureRecord): Promise<void>;
  /** The code of what is thrown where something is written and the claim stands no more. */
  readonly lostCode: string;
}

/**
 * The life of a job of any kind: it is taken up, done, and ends SUCCEEDED or FAILED, unless it is cancelled meanwhile. A claim that
 * is lost aborts the signal that the doing has.
 *
 * @param work does what is left and records success
 * @throws when the job should be taken up again, by this worker or another: `signal` aborted, or the database failed
 */
export async function takeUp<Claim>(
  services: JobServices,
  id: string,
  subject: Subject<Claim>,
  work: (claim: Claim, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { logger } = services;
  const claim = await subject.claim();
  if (!claim) return;
  const lost = new AbortController();
  const over = new AbortController();
  const either = AbortSignal.any([signal, lost.signal]);
  const watching = watchClaim(services, id, () => subject.holds(claim), lost, over.signal);
  try {
    await work(claim, either);
  } catch (error) {
    if (lost.signal.aborted || hasCode(error, subject.lostCode)) return;
    if (signal.aborted || !(error instanceof EspalierError)) {
      // It waits again, and says so. Where the database is out of reach, whoever finds the job without a worker says it.
      await subject.release(claim).catch((err) => logger.warn({ err, id }, "could not put a job back to QUEUED"));
      throw error;
    }
    const failure = failureOf(error, id, logger);
    await throughReconnects(either, () => subject.fail(failure));
  } finally {
    over.abort();
    await watching;
  }
}
