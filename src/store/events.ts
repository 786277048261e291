import { EspalierError } from "../errors.ts";
import type { Event, Prisma } from "../generated/prisma/client.ts";
import type { PruningEvent } from "../pruning/events.ts";
import { runChannel } from "./listener.ts";
import { type DatabaseRecord, isId, toRecord } from "./record.ts";
import type { Database, Store } from "./store.ts";

type LoopEvent<Type extends PruningEvent["type"], Omitted extends string = never> = Omit<
  Extract<PruningEvent, { type: Type }>,
  "type" | Omitted
>;

/** What is stored of each type of event. The scores of an iteration are rows of their own. */
export interface EventPayloads {
  readonly STARTED: LoopEvent<"STARTED">;
  readonly SCORING: LoopEvent<"SCORING">;
  readonly ITERATION: LoopEvent<"ITERATION", "scores">;
  readonly SUCCEEDED: { readonly modelId: string; readonly parameterCount: number; readonly removedRatio: number };
  readonly FAILED: { readonly code: string; readonly message: string };
  readonly CANCELLED: Readonly<Record<string, never>>;
}
export type EventType = keyof EventPayloads;

export type StoredEvent = {
  [Type in EventType]: DatabaseRecord<Event, { readonly type: Type; readonly payload: EventPayloads[Type] }>;
}[EventType];

/** So many events are read at a time: the most that a slow subscriber holds in memory. */
const batchSize = 100;

/**
 * Appends to a run's events. To be called in the transaction that does what the event reports, so that neither is seen
 * without the other. The run's row is locked until then: sequences are committed in order, and no reader sees a gap.
 *
 * @returns the event's sequence, from 1
 */
export async function appendEvent<Type extends EventType>(
  tx: Database,
  runId: string,
  type: Type,
  payload: EventPayloads[Type],
): Promise<number> {
  const { lastSequence: sequence } = await tx.pruningRun.update({
    where: { id: runId },
    data: { lastSequence: { increment: 1 } },
    select: { lastSequence: true },
  });
  await tx.event.create({ data: { runId, sequence, type, payload: payload as Prisma.InputJsonObject } });
  // Delivered when the transaction commits, and only then.
  await tx.$executeRaw`SELECT pg_notify(${runChannel}, ${runId})`;
  return sequence;
}

/** A run's events after a sequence, in order. */
export async function eventsAfter(db: Database, runId: string, after: number, limit: number): Promise<StoredEvent[]> {
  const rows = await db.event.findMany({ where: { runId, sequence: { gt: after } }, orderBy: { sequence: "asc" }, take: limit });
  return rows.map((row) => toRecord(row) as StoredEvent);
}

/**
 * A run's events after a sequence, in order, each once: those there are, then those to come, until the run is over or the
 * signal aborts. They are read as fast as they are taken, so a slow subscriber costs no memory.
 *
 * @throws EspalierError RUN_NOT_FOUND
 */
export async function* followRun(store: Store, runId: string, after: number, signal: AbortSignal): AsyncGenerator<StoredEvent, void> {
  const id = runId.toLowerCase();
  // Watched before the first look: what is committed after the look, the watch tells of.
  const watch = store.listener.watch(id);
  try {
    for (let sequence = after; !signal.aborted; ) {
      // The end is looked up before the events: all events of a run that is over are there.
      const run = isId(id) ? await store.prisma.pruningRun.findUnique({ where: { id }, select: { finishedAt: true } }) : null;
      if (!run) throw new EspalierError("RUN_NOT_FOUND", `there is no pruning run ${runId}`, { id: runId });
      const events = await eventsAfter(store.prisma, id, sequence, batchSize);
      for (const event of events) {
        if (signal.aborted) return;
        yield event;
        sequence = event.sequence;
      }
      if (events.length === batchSize) continue;
      if (run.finishedAt) return;
      await watch.wait(signal);
    }
  } finally {
    watch.close();
  }
}
