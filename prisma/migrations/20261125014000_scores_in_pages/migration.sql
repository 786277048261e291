-- The scores of an iteration and kind, until now two arrays of any length, become arrays of up to 128: by position, and by score.
ALTER TABLE "StructureScores" RENAME TO "WholeScores";
ALTER TABLE "WholeScores" RENAME CONSTRAINT "StructureScores_pkey" TO "WholeScores_pkey";
ALTER TABLE "WholeScores" DROP CONSTRAINT "StructureScores_runId_fkey";

-- CreateTable
CREATE TABLE "StructureScores" (
    "runId" UUID NOT NULL,
    "iteration" INTEGER NOT NULL,
    "kind" TEXT NOT NULL,
    "lastIndex" INTEGER NOT NULL,
    "indexes" INTEGER[],
    "scores" DOUBLE PRECISION[],

    CONSTRAINT "StructureScores_pkey" PRIMARY KEY ("runId","iteration","kind","lastIndex")
);

-- CreateTable
CREATE TABLE "RankedScores" (
    "runId" UUID NOT NULL,
    "iteration" INTEGER NOT NULL,
    "kind" TEXT NOT NULL,
    "chunk" INTEGER NOT NULL,
    "firstScore" DOUBLE PRECISION NOT NULL,
    "firstIndex" INTEGER NOT NULL,
    "lastScore" DOUBLE PRECISION NOT NULL,
    "lastIndex" INTEGER NOT NULL,
    "indexes" INTEGER[],
    "scores" DOUBLE PRECISION[],

    CONSTRAINT "RankedScores_pkey" PRIMARY KEY ("runId","chunk","iteration","kind")
);

INSERT INTO "StructureScores" ("runId", "iteration", "kind", "lastIndex", "indexes", "scores")
SELECT "runId", iteration, kind, max(index), array_agg(index ORDER BY index), array_agg(score ORDER BY index)
FROM (
    SELECT w."runId", w.iteration, w.kind, u.index, u.score,
        (row_number() OVER (PARTITION BY w."runId", w.iteration, w.kind ORDER BY u.index) - 1) / 128 AS chunk
    FROM "WholeScores" w CROSS JOIN LATERAL unnest(w.indexes, w.scores) AS u(index, score)
) s
GROUP BY "runId", iteration, kind, chunk;

INSERT INTO "RankedScores" ("runId", "iteration", "kind", "chunk", "firstScore", "firstIndex", "lastScore", "lastIndex", "indexes", "scores")
SELECT "runId", iteration, kind, chunk, scores[1], indexes[1], scores[cardinality(scores)], indexes[cardinality(scores)], indexes, scores
FROM (
    SELECT "runId", iteration, kind, chunk, array_agg(index ORDER BY score, index) AS indexes, array_agg(score ORDER BY score, index) AS scores
    FROM (
        SELECT w."runId", w.iteration, w.kind, u.index, u.score,
            (row_number() OVER (PARTITION BY w."runId", w.iteration, w.kind ORDER BY u.score, u.index) - 1) / 128 AS chunk
        FROM "WholeScores" w CROSS JOIN LATERAL unnest(w.indexes, w.scores) AS u(index, score)
    ) s
    GROUP BY "runId", iteration, kind, chunk
) c;

DROP TABLE "WholeScores";

-- CreateIndex
CREATE INDEX "RankedScores_runId_iteration_kind_lastScore_lastIndex_idx" ON "RankedScores"("runId", "iteration", "kind", "lastScore", "lastIndex");

-- CreateIndex
CREATE INDEX "RankedScores_runId_iteration_kind_firstScore_firstIndex_idx" ON "RankedScores"("runId", "iteration", "kind", "firstScore", "firstIndex");

-- AddForeignKey
ALTER TABLE "StructureScores" ADD CONSTRAINT "StructureScores_runId_fkey" FOREIGN KEY ("runId") REFERENCES "PruningRun"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "RankedScores" ADD CONSTRAINT "RankedScores_runId_fkey" FOREIGN KEY ("runId") REFERENCES "PruningRun"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What a list is filtered by, and then its order: newest first.
DROP INDEX "Evaluation_modelId_idx";
DROP INDEX "Model_parentId_idx";
DROP INDEX "PruningRun_modelId_idx";
DROP INDEX "PruningRun_status_priority_id_idx";
CREATE INDEX "Evaluation_modelId_id_idx" ON "Evaluation"("modelId", "id");
CREATE INDEX "Model_parentId_id_idx" ON "Model"("parentId", "id");
CREATE INDEX "PruningRun_modelId_id_idx" ON "PruningRun"("modelId", "id");
CREATE INDEX "PruningRun_status_id_idx" ON "PruningRun"("status", "id");
