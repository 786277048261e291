import type { SliceRequest } from "../../autodiff/reductions.ts";
import { numberAt } from "../../number-at.ts";
import type { OpenGroup } from "../open-groups.ts";

const key = ({ parameter, axis }: SliceRequest): string => `${axis ?? ""} ${parameter}`;

/** What groups are made of, each request once. A parameter that is wanted in slices is not asked for as a whole: slices add up to it. */
export function requestsOf(groups: readonly OpenGroup[]): SliceRequest[] {
  const parts = groups.flatMap((g) => g.parts);
  const sliced = new Set(parts.filter((p) => p.axis !== null).map((p) => p.parameter));
  const wanted = parts.filter((p) => p.axis !== null || !sliced.has(p.parameter)).map(({ parameter, axis }) => ({ parameter, axis }));
  return [...new Map(wanted.map((request) => [key(request), request])).values()];
}

/**
 * Adds up what is known of slices to what it says of structures: a structure's number is the sum over its parts.
 *
 * @param answers for each request: one number for a whole, one for each position of the axis for slices, none if nothing uses it
 * @param each what becomes of the number of a whole parameter or of one position, before it is added
 * @returns by group: one number a structure
 */
export function byStructure(
  groups: readonly OpenGroup[],
  requests: readonly SliceRequest[],
  answers: readonly ArrayLike<number>[],
  each: (value: number) => number = (value) => value,
): number[][] {
  const known = new Map(requests.map((request, i) => [key(request), answers[i] as ArrayLike<number>]));
  const totals = new Map<string, number>();
  for (const [i, { parameter }] of requests.entries())
    if (!totals.has(parameter))
      totals.set(
        parameter,
        Array.from(answers[i] as ArrayLike<number>).reduce((a, b) => a + b, 0),
      );
  return groups.map(({ indexes, parts }) => {
    const sums = new Float64Array(indexes.length);
    const add = (place: number, value: number) => {
      if (place >= 0) sums[place] = (sums[place] as number) + each(value);
    };
    for (const part of parts) {
      if (part.axis === null) add(numberAt(part.owners, 0), totals.get(part.parameter) ?? 0);
      else for (const [at, value] of Array.from(known.get(key(part)) ?? []).entries()) add(numberAt(part.owners, at), value);
    }
    return [...sums];
  });
}
