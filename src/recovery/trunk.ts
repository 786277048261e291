import { EspalierError } from "../errors.ts";
import { largest, smallest } from "../large-lists.ts";
import type { Anatomy } from "../structures/anatomy.ts";
import type { Branch } from "../structures/branches.ts";

/** A residual addition of a model, and where its teacher's trunk stands there. */
export interface Joint {
  /** What the model adds there. */
  readonly branches: readonly Branch[];
  /** The value of the model's residual stream that the next branch reads, or that the head does. */
  readonly own: string;
  /** The value of the teacher's that the same branch reads there, or its head. */
  readonly its: string;
  /** Whether branches of the teacher that the model lacks come in between. */
  readonly isGap: boolean;
  /** Whether a layer ends here. */
  readonly endsLayer: boolean;
}

const branchesOf = (anatomy: Anatomy): { readonly branch: Branch; readonly begins: boolean }[] =>
  anatomy.places.filter((p) => p.kind === "LAYER").flatMap((p) => p.branches.map((branch, i) => ({ branch, begins: i === 0 })));

/**
 * The residual additions of a model that was cut out of its teacher: what stays keeps its name.
 *
 * @throws EspalierError TEACHER_DIFFERS if the teacher lacks a branch of the model
 */
export function jointsOf(own: Anatomy, its: Anatomy): Joint[] {
  const [kept, all] = [branchesOf(own), branchesOf(its)];
  const places = new Map(all.map(({ branch }, i) => [branch.output, i]));
  const placeOf = ({ output }: Branch): number => {
    const place = places.get(output);
    if (place === undefined)
      throw new EspalierError(
        "TEACHER_DIFFERS",
        `the teacher's graph has no branch "${output}": layers can be held side by side only where the model was cut out of its teacher`,
        { branch: output },
      );
    return place;
  };
  const sums = [...new Set(kept.map(({ branch }) => branch.sum))];
  return sums.map((sum, i): Joint => {
    const branches = kept.filter(({ branch }) => branch.sum === sum).map(({ branch }) => branch);
    const next = kept.find(({ branch }) => branch.sum === sums[i + 1]);
    const from = largest(branches.map(placeOf));
    const to = next ? smallest(kept.filter(({ branch }) => branch.sum === sums[i + 1]).map((k) => placeOf(k.branch))) : all.length;
    return {
      branches,
      own: next?.branch.skip ?? sum,
      its: next ? (all[to] as { branch: Branch }).branch.skip : (all.at(-1) as { branch: Branch }).branch.sum,
      isGap: to > from + 1,
      endsLayer: next?.begins ?? true,
    };
  });
}
