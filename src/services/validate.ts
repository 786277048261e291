import { EspalierError } from "../errors.ts";

/** A rule that an argument must meet: the argument's path, whether it does, and the rule in words. */
export type Requirement = readonly [argument: string, met: boolean, rule: string];

/** @throws EspalierError BAD_USER_INPUT naming the first argument that breaks its rule */
export function requireAll(requirements: readonly Requirement[]): void {
  const broken = requirements.find(([, met]) => !met);
  if (broken) throw new EspalierError("BAD_USER_INPUT", `${broken[0]} ${broken[2]}`, { argument: broken[0] });
}

/** Runs what an argument names, so that a refusal says which argument it is about. */
export async function blaming<Result>(argument: string, work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof EspalierError) || error.details["argument"]) throw error;
    throw new EspalierError(error.code, error.message, { ...error.details, argument }, { cause: error });
  }
}

/** The rule for what is called by a name: terminals and logs, which may act on control characters, show it too. */
export const nameRule = (name: string): Requirement => [
  "input.name",
  name.trim() !== "" && name.length <= 200 && !/\p{Cc}/u.test(name.trim()),
  "must have 1 to 200 characters, and no control characters",
];

/** The rule for a client's key of a request. */
export const keyRule = (key: string | null | undefined): Requirement => [
  "input.idempotencyKey",
  key == null || (key.trim() !== "" && key.length <= 200),
  "must have 1 to 200 characters",
];

/** Whether a text can be a path in one of the server's folders. */
export const isPath = (text: string): boolean => text.trim() !== "" && text.length <= 4096;
