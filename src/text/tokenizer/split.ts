import type { Component } from "./component.ts";

/** Part of a text, and whether the pattern matched it. */
type Segment = readonly [text: string, matched: boolean];

/** What becomes of what a pattern matches, by Hugging Face's names. */
const behaviors = {
  Removed: (segments) => segments.filter(([, matched]) => !matched).map(([text]) => text),
  Isolated: (segments) => segments.map(([text]) => text),
  Contiguous: (segments) => joined(segments, (previous, matched) => previous === matched),
  MergedWithPrevious: (segments) => joined(segments, (previous, matched) => matched && !previous),
  MergedWithNext: (segments) => joined(segments.toReversed(), (previous, matched) => matched && !previous, true).reverse(),
} satisfies Readonly<Record<string, (segments: readonly Segment[]) => string[]>>;

export type Behavior = keyof typeof behaviors;

/** The behavior that a component names. */
export function behaviorOf(component: Component, otherwise?: Behavior): Behavior {
  const name = component.text("behavior", otherwise);
  if (!Object.hasOwn(behaviors, name)) throw component.invalid(`"behavior" must be one of ${Object.keys(behaviors).join(", ")}`);
  return name as Behavior;
}

/** Cuts a text where a pattern matches; no part is empty. */
export const split = (text: string, pattern: RegExp, behavior: Behavior, invert = false): string[] =>
  behaviors[behavior](segmentsOf(text, pattern, invert)).filter((part) => part !== "");

function segmentsOf(text: string, pattern: RegExp, invert: boolean): Segment[] {
  const segments: Segment[] = [];
  let from = 0;
  for (const { 0: found, index } of text.matchAll(pattern)) {
    // Oniguruma finds nothing where it has just found something.
    if (found === "" && index === from && index > 0) continue;
    if (index > from) segments.push([text.slice(from, index), invert]);
    segments.push([found, !invert]);
    from = index + found.length;
  }
  if (from < text.length) segments.push([text.slice(from), invert]);
  return segments;
}

/** Joins each segment to the one before it where `joins` says so. Before the first nothing has matched. */
function joined(segments: readonly Segment[], joins: (previous: boolean, matched: boolean) => boolean, backwards = false): string[] {
  const parts: string[] = [];
  let previous = false;
  for (const [text, matched] of segments) {
    const last = parts.at(-1);
    if (joins(previous, matched) && last !== undefined) parts[parts.length - 1] = backwards ? text + last : last + text;
    else parts.push(text);
    previous = matched;
  }
  return parts;
}
