/** REAL_WORD edits characters so that dictionary words come out; CHARACTER edits them freely; TOKEN replaces token ids. */
export const perturbationKinds = ["REAL_WORD", "CHARACTER", "TOKEN"] as const;
export type PerturbationKind = (typeof perturbationKinds)[number];
