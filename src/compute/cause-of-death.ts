import { readFileSync } from "node:fs";
import { EspalierError } from "../errors.ts";

export interface Death {
  readonly pid: number | undefined;
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The end of what it wrote to its standard error. */
  readonly lastWords: string;
  /** `outOfMemoryKills` when it started. */
  readonly killsBefore: number | null;
}

/** Signals by which someone ends a process; the others a process brings on itself. */
const fromOutside: ReadonlySet<string | null> = new Set(["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"]);
const noMemory = /out of memory|bad_alloc|cannot allocate memory|allocation failed/i;

/** How many processes the kernel has killed for want of memory since it booted; null where it does not say (it is Linux that does). */
export function outOfMemoryKills(): number | null {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync("/proc/vmstat", "utf8"))?.[1] ?? Number.NaN) || 0;
  } catch {
    return null;
  }
}

/** Why a compute process ended: of memory (OUT_OF_MEMORY), or else (COMPUTE_PROCESS_DIED; `killed` if someone ended it). */
export function causeOfDeath({ pid, status, signal, lastWords, killsBefore }: Death): EspalierError {
  const how = signal ? `was ended by ${signal}` : `ended with status ${status}`;
  const killedForMemory = signal === "SIGKILL" && killsBefore !== null && (outOfMemoryKills() ?? 0) > killsBefore;
  if (killedForMemory || noMemory.test(lastWords))
    return new EspalierError("OUT_OF_MEMORY", `the compute process ran out of memory: it ${how}`, { pid });
  return new EspalierError("COMPUTE_PROCESS_DIED", `the compute process ${how}`, { pid, killed: fromOutside.has(signal) });
}
