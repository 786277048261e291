-- Pruning runs and evaluations become runs, each of its kind, under the ids they have.
ALTER TABLE "PruningRun" RENAME TO "Run";
ALTER TABLE "Run" RENAME CONSTRAINT "PruningRun_pkey" TO "Run_pkey";
ALTER TABLE "Run" RENAME CONSTRAINT "PruningRun_modelId_fkey" TO "Run_modelId_fkey";
ALTER TABLE "Run" RENAME CONSTRAINT "PruningRun_resultModelId_fkey" TO "Run_resultModelId_fkey";
ALTER TABLE "Run" RENAME CONSTRAINT "PruningRun_datasetId_fkey" TO "Run_datasetId_fkey";
ALTER INDEX "PruningRun_resultModelId_key" RENAME TO "Run_resultModelId_key";
ALTER INDEX "PruningRun_status_id_idx" RENAME TO "Run_status_id_idx";
ALTER INDEX "PruningRun_datasetId_idx" RENAME TO "Run_datasetId_idx";

-- The parameters of the base model are the model's own to tell.
ALTER TABLE "Run" DROP COLUMN "parameterCount",
ADD COLUMN     "kind" TEXT NOT NULL DEFAULT 'PRUNING',
ADD COLUMN     "subjectRunId" UUID,
ADD COLUMN     "progress" DOUBLE PRECISION NOT NULL DEFAULT 0,
ADD COLUMN     "comparisonKey" CHAR(64),
ADD COLUMN     "overlapRatio" DOUBLE PRECISION,
ADD COLUMN     "result" JSONB,
ALTER COLUMN "modelId" DROP NOT NULL,
ALTER COLUMN "method" DROP NOT NULL;
ALTER TABLE "Run" ALTER COLUMN "kind" DROP DEFAULT;

UPDATE "Run" SET "progress" = CASE
  WHEN "status" = 'SUCCEEDED' THEN 1
  ELSE LEAST(1, GREATEST(0, COALESCE("removedRatio" / NULLIF(("options"->>'targetRatio')::float8, 0), 0)))
END;

INSERT INTO "Run" ("id", "kind", "status", "modelId", "options", "datasetId", "datasetRequest", "executionProvider", "progress",
  "comparisonKey", "overlapRatio", "result", "error", "attempt", "createdAt", "startedAt", "finishedAt")
SELECT "id", 'EVALUATION', "status", "modelId", "settings", "datasetId", "datasetRequest", "result"->>'executionProvider',
  CASE WHEN "status" = 'SUCCEEDED' THEN 1 ELSE COALESCE("progressDone"::float8 / NULLIF("progressTotal", 0), 0) END,
  "comparisonKey", "overlapRatio", "result", "error", "attempt", "createdAt", "startedAt", "finishedAt"
FROM "Evaluation";
DROP TABLE "Evaluation";

-- What a list is filtered by, and then its order: newest first.
DROP INDEX "PruningRun_modelId_id_idx";
CREATE INDEX "Run_modelId_kind_id_idx" ON "Run"("modelId", "kind", "id");
CREATE INDEX "Run_kind_id_idx" ON "Run"("kind", "id");
CREATE INDEX "Run_comparisonKey_idx" ON "Run"("comparisonKey");
CREATE INDEX "Run_subjectRunId_idx" ON "Run"("subjectRunId");

ALTER TABLE "Run" ADD CONSTRAINT "Run_subjectRunId_fkey" FOREIGN KEY ("subjectRunId") REFERENCES "Run"("id") ON DELETE SET NULL ON UPDATE CASCADE;
