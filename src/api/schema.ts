import "reflect-metadata";
import { type GraphQLSchema, lexicographicSortSchema, printSchema } from "graphql";
import { buildSchemaSync } from "type-graphql";
import { finiteFloats } from "./finite-floats.ts";
import { authChecker, describeRoles } from "./needs.ts";
import { markOneOf } from "./one-of.ts";
import { requireTexts } from "./require-texts.ts";
import { AuditResolver } from "./resolvers/audit-resolver.ts";
import { ChangesResolver } from "./resolvers/changes-resolver.ts";
import { ComparisonResolver, ComparisonRowResolver } from "./resolvers/comparison-resolver.ts";
import { CompressionRunResolver, CompressionSucceededResolver } from "./resolvers/compression-run-resolver.ts";
import { DatasetResolver } from "./resolvers/dataset-resolver.ts";
import { EvaluationResolver } from "./resolvers/evaluation-resolver.ts";
import { ExportResolver, ExportRunResolver } from "./resolvers/export-resolver.ts";
import { FamilyResolver } from "./resolvers/family-resolver.ts";
import { GenerationResolver } from "./resolvers/generation-resolver.ts";
import { ImportResolver } from "./resolvers/import-resolver.ts";
import { MeasureResolver } from "./resolvers/measure-resolver.ts";
import { ModelResolver } from "./resolvers/model-resolver.ts";
import { NodeResolver } from "./resolvers/node-resolver.ts";
import { PruningRunResolver } from "./resolvers/pruning-run-resolver.ts";
import { RecoveryRunResolver, RecoverySucceededResolver } from "./resolvers/recovery-run-resolver.ts";
import { PruningIterationCompletedResolver, PruningSucceededResolver, RunProgressResolver } from "./resolvers/run-progress-resolver.ts";
import { RunResolver } from "./resolvers/run-resolver.ts";
import { TokenResolver } from "./resolvers/token-resolver.ts";
import { UploadResolver } from "./resolvers/upload-resolver.ts";
import { ViewerResolver } from "./resolvers/viewer-resolver.ts";
import { WorkerResolver } from "./resolvers/worker-resolver.ts";
import { compressionEventTypes } from "./types/compression-event.ts";
import { ImportProgressed } from "./types/import.ts";
import { pruningEventTypes } from "./types/pruning-event.ts";
import { recoveryEventTypes } from "./types/recovery-event.ts";
import { runTypeNames } from "./types/run.ts";
import { runEventTypes } from "./types/run-event.ts";

/** type-graphql wants one wherever there are subscriptions; ours bring their own streams. */
const noPubSub = {
  publish: () => {},
  subscribe: (): never => {
    throw new Error("every subscription has its own stream");
  },
};

/** The GraphQL schema with its resolvers, which work with a `Context`. */
export function buildSchema(): GraphQLSchema {
  const schema = buildSchemaSync({
    resolvers: [
      NodeResolver,
      ModelResolver,
      FamilyResolver,
      RunResolver,
      RunProgressResolver,
      PruningRunResolver,
      PruningIterationCompletedResolver,
      PruningSucceededResolver,
      RecoveryRunResolver,
      RecoverySucceededResolver,
      CompressionRunResolver,
      CompressionSucceededResolver,
      ComparisonResolver,
      ComparisonRowResolver,
      DatasetResolver,
      EvaluationResolver,
      ExportResolver,
      ExportRunResolver,
      ImportResolver,
      UploadResolver,
      GenerationResolver,
      MeasureResolver,
      TokenResolver,
      AuditResolver,
      ChangesResolver,
      ViewerResolver,
      WorkerResolver,
    ],
    orphanedTypes: [...pruningEventTypes, ...recoveryEventTypes, ...compressionEventTypes, ImportProgressed, ...runEventTypes],
    validate: false,
    authChecker,
    pubSub: noPubSub,
  });
  for (const name of Object.values(runTypeNames))
    if (!schema.getType(name)) throw new Error(`the schema has no type ${name}, which a kind of run is said to have`);
  return finiteFloats(requireTexts(markOneOf(describeRoots(describeRoles(schema)))));
}

/** What the roots are for. */
const roots = {
  Query: "What can be asked. Nothing of it changes anything.",
  Mutation: "What can be done. Each takes one input, and is kept in the audit trail.",
  Subscription: "What can be followed.",
} as const;

function describeRoots(schema: GraphQLSchema): GraphQLSchema {
  for (const [name, description] of Object.entries(roots)) Object.assign(schema.getType(name) ?? {}, { description });
  return schema;
}

/** The schema as `schema.graphql` holds it. */
export const printedSchema = (): string => `${printSchema(lexicographicSortSchema(buildSchema()))}\n`;
