import { ask } from "./ask.ts";
import { graphql } from "./graphql.ts";
import type { Role } from "./session.svelte.ts";

const pruning = graphql(`mutation StartPruning($input: StartPruningInput!) { started: startPruning(input: $input) { run { id } } }`);
const recovery = graphql(`mutation StartRecovery($input: StartRecoveryInput!) { started: startRecovery(input: $input) { run { id } } }`);
const compression = graphql(
  `mutation StartCompression($input: StartCompressionInput!) { started: startCompression(input: $input) { run { id } } }`,
);
const evaluation = graphql(
  `mutation StartEvaluation($input: StartEvaluationInput!) { started: startEvaluation(input: $input) { run { id } } }`,
);
const exporting = graphql(`mutation StartExport($input: StartExportInput!) { started: startExport(input: $input) { run { id } } }`);

export interface Start {
  readonly title: string;
  /** The input that its form is made of. */
  readonly type: string;
  readonly needs: Role;
  /** What most are asked for, which its form begins with: the other fields are folded. Empty: none is. */
  readonly first: readonly string[];
  /** @returns the run's id @throws Failure */
  readonly start: (input: unknown) => Promise<string>;
}

const by =
  (document: typeof pruning) =>
  async (input: unknown): Promise<string> =>
    (await ask(document, { input: input as never })).started.run.id;

/** Kinds of run that are started of a model, and how. */
export const starts: Readonly<Record<string, Start>> = {
  PRUNING: {
    ...{ title: "Prune", type: "StartPruningInput", needs: "PRUNE", start: by(pruning) },
    first: ["method", "dataset", "options", "targetRatio", "structureKinds", "samples", "sequenceLength"],
  },
  RECOVERY: {
    ...{ title: "Heal", type: "StartRecoveryInput", needs: "PRUNE", start: by(recovery as never) },
    first: ["method", "dataset", "teacherId", "options", "steps", "learningRate", "batchSize", "sequenceLength"],
  },
  COMPRESSION: {
    ...{ title: "Compress", type: "StartCompressionInput", needs: "PRUNE", start: by(compression as never) },
    first: ["method", "scheme", "dataset", "options", "blockSize", "pattern", "sparsity", "head", "embedding", "headBits"],
  },
  EVALUATION: {
    ...{ title: "Evaluate", type: "StartEvaluationInput", needs: "GENERATE", start: by(evaluation as never) },
    first: ["dataset", "sequenceLength", "maxItems", "against"],
  },
  EXPORT: { title: "Export", type: "StartExportInput", needs: "GENERATE", start: by(exporting as never), first: [] },
};
