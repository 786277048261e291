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

/** The rule for how many tokens a model is fed at once. */
export function lengthRule(argument: string, length: number, { contextLength }: { readonly contextLength: number | null }): Requirement {
  const longest = contextLength ?? 65_536;
  return [argument, length >= 2 && length <= longest, `must be from 2 to the model's context length, ${longest}`];
}

/** Whether a text can be a path in one of the server's folders. */
export const isPath = (text: string): boolean => text.trim() !== "" && text.length <= 4096;

/** The rule for what its users say of something: lines of text. */
export const textRule = (argument: string, text: string | undefined, longest: number): Requirement => [
  argument,
  text === undefined || (text.length <= longest && !/[^\P{Cc}\n\t]/u.test(text)),
  `must have at most ${longest.toLocaleString("en-US")} characters, and no control characters but line ends and tabs`,
];

const mostTags = 20;
const longestTag = 50;

const isTag = (tag: string): boolean => tag !== "" && tag === tag.trim() && tag.length <= longestTag && !/\p{Cc}/u.test(tag);

/** The rules for tags. */
export const tagRules = (tags: readonly string[] = []): Requirement[] => [
  ["input.tags", tags.length <= mostTags && new Set(tags).size === tags.length, `must be at most ${mostTags}, each once`],
  ["input.tags", tags.every(isTag), `must each have 1 to ${longestTag} characters, no blanks around them and no control characters`],
];
