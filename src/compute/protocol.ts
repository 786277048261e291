import type { S3Credentials } from "../artifacts/s3-credentials.ts";
import type { Occupation } from "./sign-of-life.ts";
import type { TaskName, Tasks } from "./tasks.ts";

/** What a parent says to its compute process. Runs are told apart by id, so that many share one process. */
export type ToCompute =
  | { readonly id: number; readonly task: TaskName; readonly request: Tasks[TaskName]["request"] }
  | { readonly id: number; readonly cancel: true }
  | CredentialsAnswer;

export type CredentialsAnswer = { readonly asked: number } & ({ readonly credentials: S3Credentials } | { readonly noCredentials: string });

/**
 * What the compute process says to its parent, in order for each run: events, then a result or an error. Its environment holds no
 * secrets: where artifacts lie in S3 it asks for credentials.
 */
export type FromCompute =
  | AboutRun
  | { readonly kind: "alive"; readonly at: Occupation }
  | { readonly kind: "credentials"; readonly asked: number };

/** Of one run. */
export type AboutRun = { readonly id: number } & (
  | { readonly kind: "event"; readonly event: unknown }
  | { readonly kind: "result"; readonly result: unknown }
  | { readonly kind: "error"; readonly error: ComputeError }
);

/** An error as it crosses the boundary. `stack` is for logs. */
export interface ComputeError {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly stack: string;
}
