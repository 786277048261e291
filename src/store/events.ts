import type { Event, Prisma } from "../generated/prisma/client.ts";
import type { PruningEvent } from "../pruning/events.ts";
import { notify } from "./listener.ts";
import { type DatabaseRecord, toRecord } from "./record.ts";
import type { Database } from "./store.ts";

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
  /** It goes on after iterations that it has stored, or that another run has. */
  readonly RESUMED: {
    readonly iterations: number;
    readonly parameterCount: number;
    readonly removedRatio: number;
    readonly fromRunId: string | null;
  };
}
export type EventType = keyof EventPayloads;

export type StoredEvent = {
  [Type in EventType]: DatabaseRecord<Event, { readonly type: Type; readonly payload: EventPayloads[Type] }>;
}[EventType];

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
  await notify(tx, runId);
  return sequence;
}

/** A run's events after a sequence, in order. */
export async function eventsAfter(db: Database, runId: string, after: number, limit: number): Promise<StoredEvent[]> {
  const rows = await db.event.findMany({ where: { runId, sequence: { gt: after } }, orderBy: { sequence: "asc" }, take: limit });
  return rows.map((row) => toRecord(row) as StoredEvent);
}
