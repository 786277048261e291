import type { Model } from "../ir.ts";
import { constantsToInitializers } from "./constants-to-initializers.ts";
import { denseExperts } from "./dense-experts.ts";
import { distinctNodeNames } from "./distinct-node-names.ts";
import { inputsWithoutDefaults } from "./inputs-without-defaults.ts";
import type { Pass } from "./pass.ts";
import { sortNodes } from "./sort-nodes.ts";
import { cacheFlag, takeCacheBranch } from "./take-cache-branch.ts";
import { withoutIdentities } from "./without-identities.ts";

/** In order: constants of a branch that is taken are the graph's, and only then can all nodes be put in order. */
const passes: readonly { readonly apply: Pass; readonly note?: string }[] = [
  {
    apply: takeCacheBranch,
    note:
      `the graph chooses between a branch that reads a cache and one that does not, by "${cacheFlag}": the one that reads a cache is used, ` +
      "at first with an empty one; what is pruned from it has that branch alone, and no such input",
  },
  { apply: inputsWithoutDefaults },
  { apply: constantsToInitializers },
  { apply: sortNodes },
  { apply: withoutIdentities },
  { apply: denseExperts },
  { apply: distinctNodeNames },
];

/** A model in the one form that all else is written for. */
export interface Canonical {
  readonly model: Model;
  /** What users should know of the way there. */
  readonly notes: readonly string[];
  /** The model with its experts as they were written, to hold the other to: these are told by how they are spelled. Null if it has none such. */
  readonly unrolled: Model | null;
}

/**
 * Brings a model as a file may spell it to one form: no constants outside the initializers, none of these among the inputs,
 * nodes in order and none of them idle, one branch of a decoder merged of two. (`decode` has inlined functions before.) It computes the same.
 */
export function canonical(decoded: Model): Canonical {
  let model = decoded;
  const notes: string[] = [];
  let unrolled: Model | null = null;
  for (const { apply, note } of passes) {
    const before = model;
    model = apply(before);
    if (model !== before && apply === denseExperts) unrolled = before;
    if (model !== before && note !== undefined) notes.push(note);
  }
  return { model, notes, unrolled };
}
