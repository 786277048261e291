import type { S3Credentials } from "../artifacts/s3-credentials.ts";
import type { CredentialsAnswer, FromCompute } from "./protocol.ts";

interface Waiting {
  readonly resolve: (found: S3Credentials) => void;
  readonly reject: (why: Error) => void;
}

/** By the number of what was asked. */
const waiting = new Map<number, Waiting>();
let asked = 0;

/** In a compute process: asks its parent for the credentials of S3. */
export function askParent(): Promise<S3Credentials> {
  return new Promise((resolve, reject) => {
    waiting.set(++asked, { resolve, reject });
    // Sending fails only when the parent is gone, and then so are we.
    process.send?.({ kind: "credentials", asked } satisfies FromCompute, undefined, undefined, () => {});
  });
}

/** What the parent says to it. */
export function hearParent(answer: CredentialsAnswer): void {
  const one = waiting.get(answer.asked);
  waiting.delete(answer.asked);
  if ("credentials" in answer) one?.resolve(answer.credentials);
  else one?.reject(new Error(answer.noCredentials));
}
