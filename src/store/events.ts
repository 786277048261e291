import type { CompressionEvent, CompressionSummary } from "../compression/events.ts";
import type { Event, Prisma } from "../generated/prisma/client.ts";
import type { ImportProgress } from "../models/import/import-model.ts";
import type { PruningEvent } from "../pruning/events.ts";
import type { RecoveryEvent, RecoverySummary } from "../recovery/events.ts";
import type { RestoringEvent } from "../recovery/least-squares.ts";
import { notify } from "./listener.ts";
import { type DatabaseRecord, toRecord } from "./record.ts";
import type { RunKind } from "./runs.ts";
import type { Database } from "./store.ts";

type LoopEvent<Type extends PruningEvent["type"], Omitted extends string = never> = Omit<
  Extract<PruningEvent, { type: Type }>,
  "type" | Omitted
>;

type TrainingEvent<Type extends RecoveryEvent["type"], Omitted extends string = never> = Omit<
  Extract<RecoveryEvent, { type: Type }>,
  "type" | Omitted
>;

type CompressingEvent<Type extends CompressionEvent["type"], Omitted extends string = never> = Omit<
  Extract<CompressionEvent, { type: Type }>,
  "type" | Omitted
>;

type Nothing = Readonly<Record<string, never>>;

/** What is stored of each type of event that runs of every kind have. */
interface CommonEvents {
  /** What it waited for is there: it is in the queue now. */
  readonly QUEUED: { readonly modelId: string };
  readonly FAILED: { readonly code: string; readonly message: string };
  readonly CANCELLED: Nothing;
}

/** Those of a kind that stores nothing before its end. */
export interface PlainEvents extends CommonEvents {
  /** A worker begins it, from the beginning each time. */
  readonly STARTED: { readonly attempt: number };
  /** Share of the work that is done, 0 to 1. */
  readonly PROGRESS: { readonly progress: number };
  readonly SUCCEEDED: Nothing;
  readonly RESUMED: Nothing;
}

/** What is stored of each type of event, by kind of run. The scores of a pruning iteration are rows of their own. */
export interface RunEvents extends Record<RunKind, CommonEvents> {
  readonly PRUNING: CommonEvents & {
    readonly STARTED: LoopEvent<"STARTED">;
    readonly SCORING: LoopEvent<"SCORING">;
    readonly RESTORING: Omit<RestoringEvent, "type">;
    /** Of what was removed the first `removedAtOnce`, and how many it was; those from before these were told apart have all, and no count. */
    readonly ITERATION: LoopEvent<"ITERATION", "scores"> & { readonly removedCount?: number };
    readonly SUCCEEDED: { readonly modelId: string; readonly parameterCount: number; readonly removedRatio: number };
    /** It goes on after iterations that it has stored, or that another run has. */
    readonly RESUMED: {
      readonly iterations: number;
      /** Null while it is not known on which model. */
      readonly parameterCount: number | null;
      readonly removedRatio: number;
      readonly fromRunId: string | null;
    };
  };
  readonly EVALUATION: PlainEvents;
  readonly IMPORT: Omit<PlainEvents, "PROGRESS"> & {
    /** Which file is gathered or stored, how much of it, and the share of all the work. */
    readonly PROGRESS: ImportProgress;
  };
  readonly EXPORT: PlainEvents;
  readonly RECOVERY: CommonEvents & {
    readonly WRITING: { readonly tokens: number; readonly tokensTotal: number };
    readonly TEXTS: { readonly datasetId: string; readonly texts: number; readonly tokens: number };
    readonly STARTED: TrainingEvent<"STARTED">;
    readonly STEP: TrainingEvent<"STEP">;
    readonly READ: TrainingEvent<"READ">;
    readonly CHECK: TrainingEvent<"CHECK", "checkpoint">;
    readonly RETREATED: TrainingEvent<"RETREATED">;
    readonly SUCCEEDED: { readonly modelId: string; readonly parameterCount: number } & RecoverySummary;
    /** It goes on after so many steps. */
    readonly RESUMED: { readonly step: number };
  };
  readonly COMPRESSION: CommonEvents & {
    readonly STARTED: CompressingEvent<"STARTED">;
    readonly COMPRESSED: CompressingEvent<"COMPRESSED", "file">;
    readonly SUCCEEDED: { readonly modelId: string } & CompressionSummary;
    /** It goes on after so many steps. */
    readonly RESUMED: { readonly step: number };
  };
}

/** The types of event that runs of some kind have. */
export type EventType<Kind extends RunKind = RunKind> = { [Each in Kind]: keyof RunEvents[Each] }[Kind];

/** What is stored of a type of event: of each kind of run that has it. */
export type PayloadOf<Type extends EventType> = {
  [Kind in RunKind]: Type extends keyof RunEvents[Kind] ? RunEvents[Kind][Type] : never;
}[RunKind];

export type StoredEvent<Kind extends RunKind = RunKind> = {
  [Each in Kind]: {
    [Type in keyof RunEvents[Each]]: DatabaseRecord<Event, { readonly type: Type; readonly payload: RunEvents[Each][Type] }>;
  }[keyof RunEvents[Each]];
}[Kind];

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
  payload: PayloadOf<Type>,
): Promise<number> {
  const { lastSequence: sequence } = await tx.run.update({
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
  return rows.map((row) => toRecord(row) as unknown as StoredEvent);
}
