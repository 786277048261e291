import type { Logger } from "pino";
import { EspalierError } from "../errors.ts";
import type { FailureRecord } from "../store/runs.ts";

/**
 * What a job's failure says to people. What should not happen is logged under the job's id and not shown: its words may hold
 * paths of this machine.
 */
export function failureOf(error: EspalierError, jobId: string, logger: Logger): FailureRecord {
  const { code, message } = error;
  if (code !== "INTERNAL") return { code, message: storable(message) };
  logger.error({ err: error, jobId }, "internal error in a job");
  return { code, message: `internal error; the server's log has it under the id ${jobId}` };
}

/** Words of a model's files may hold what PostgreSQL cannot store: NUL, and halves of characters. */
const storable = (text: string): string => Buffer.from(text.replaceAll("\0", "\ufffd")).toString();

export const hasCode = (error: unknown, code: string): error is EspalierError => error instanceof EspalierError && error.code === code;
