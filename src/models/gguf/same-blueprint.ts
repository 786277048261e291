import { numberAt } from "../../number-at.ts";
import type { Blueprint, Frequencies } from "../blueprints/blueprint.ts";

/** In what two blueprints differ, and how. */
export interface Difference {
  /** `layers.0.attention.softcap`. */
  readonly at: string;
  readonly is: unknown;
  readonly becomes: unknown;
}

/** Numbers go through float32, and frequencies through a few of its operations. */
const tolerance = 2e-6;
const frequencyTolerance = 2e-5;

/**
 * In what a model differs from what a file would say of it, for texts of up to so many tokens. Of a head it is not asked whether it is the
 * embedding's own tensor: what it holds is the same.
 */
export function differences(model: Blueprint, said: Blueprint, context: number): Difference[] {
  const [is, becomes] = [within(model, context), within(said, context)];
  const found: Difference[] = [];
  compare("", is, becomes, found);
  return found.filter(({ at }) => at !== "head.weight");
}

/** Leaves out what longer texts alone would show. */
function within(blueprint: Blueprint, context: number): Blueprint {
  return {
    ...blueprint,
    layers: blueprint.layers.map((layer) => {
      const { window, rotary, ...attention } = layer.attention;
      const kept = rotary && { ...rotary, frequencies: frequenciesWithin(rotary.frequencies, context) };
      return { ...layer, attention: { ...attention, rotary: kept, ...(window !== undefined && window < context ? { window } : {}) } };
    }),
  };
}

function frequenciesWithin({ values, scale, beyond }: Frequencies, context: number): Frequencies {
  if (!beyond || beyond.tokens >= context) return { values, scale };
  const same = "length" in beyond.values && beyond.values.every((value, i) => near(value, numberAt(values, i), frequencyTolerance));
  return same ? { values, scale } : { values, scale, beyond };
}

const near = (a: number, b: number, by: number): boolean => Math.abs(a - b) <= by * Math.max(Math.abs(a), Math.abs(b));

function compare(at: string, is: unknown, becomes: unknown, found: Difference[]): void {
  if (typeof is === "number" && typeof becomes === "number") {
    if (!near(is, becomes, at.includes("frequencies") ? frequencyTolerance : tolerance)) found.push({ at, is, becomes });
  } else if (typeof is === "object" && is !== null && typeof becomes === "object" && becomes !== null) {
    const [a, b] = [is, becomes] as Record<string, unknown>[];
    for (const key of new Set([...Object.keys(is), ...Object.keys(becomes)])) {
      if (at.includes("frequencies") && found.some((d) => d.at.startsWith(at))) return;
      compare(at === "" ? key : `${at}.${key}`, a?.[key], b?.[key], found);
    }
  } else if (is !== becomes) found.push({ at, is, becomes });
}
