/** What the server refused or could not do, or that it cannot be reached. */
export class Failure extends Error {
  constructor(
    /** Stable, for programs. */
    readonly code: string,
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}

export const unreachable = (): Failure => new Failure("UNREACHABLE", "the server does not answer");

/** Codes for which there is something better to say than the server's own sentence. */
const words: Readonly<Record<string, string>> = {
  UNREACHABLE: "The server cannot be reached. What you typed is still here: try again in a moment.",
  UNAUTHENTICATED: "Your token is not valid any more: it may have expired or been withdrawn. Log in again.",
  FORBIDDEN: "Your token's role does not allow this.",
  INTERNAL_SERVER_ERROR: "Something went wrong inside the server. Its log has the details.",
  DATABASE_UNAVAILABLE: "The server's database does not answer. Try again in a moment.",
  MODEL_NOT_FOUND: "There is no such model: it may have been deleted.",
  RUN_NOT_FOUND: "There is no such run: it may have been deleted.",
  MODEL_HAS_DESCENDANTS: "Other models were made from this one. Delete those first, or keep them without a parent.",
  MODEL_IN_USE: "Runs still prune, heal or compress this model. Cancel them first.",
  RUN_NOT_OVER: "The run is not over. Cancel it first.",
  RUN_HAS_RESULT: "The run says how a model was made. Delete that model first.",
  RUN_NOT_CANCELLABLE: "The run is already over.",
  RUN_NOT_RESUMABLE: "Only a run that failed or was cancelled can be resumed.",
  SUBJECT_FAILED: "The run whose result it waited for has failed.",
  DATASET_OVERLAP: "The model was pruned, healed or compressed with these texts, so measuring on them would flatter it.",
  DATASET_NOT_FOUND: "There is no such dataset: it may have been deleted.",
  DATASET_IN_USE: "Runs work with this dataset, or did. Delete those first.",
  REQUEST_TOO_LARGE: "That is more than the server takes in one request.",
  SERVER_STOPPING: "The server is stopping. Try again in a moment.",
};

/** A failure as a sentence for people. */
export function inWords(failure: unknown): string {
  if (!(failure instanceof Failure)) return `Something went wrong in this page: ${String(failure)}`;
  const known = words[failure.code];
  if (known) return known;
  const text = failure.message.trim();
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
