-- CreateEnum
CREATE TYPE "RunStatus" AS ENUM ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED');

-- CreateTable
CREATE TABLE "Artifact" (
    "sha256" CHAR(64) NOT NULL,
    "sizeBytes" BIGINT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "Artifact_pkey" PRIMARY KEY ("sha256")
);

-- CreateTable
CREATE TABLE "Model" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "digest" CHAR(64) NOT NULL,
    "parentId" UUID,
    "sizeBytes" BIGINT NOT NULL,
    "parameterCount" BIGINT NOT NULL,
    "opset" INTEGER NOT NULL,
    "operators" JSONB NOT NULL,
    "architecture" JSONB NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "Model_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ModelFile" (
    "modelId" UUID NOT NULL,
    "path" TEXT NOT NULL,
    "sha256" CHAR(64) NOT NULL,

    CONSTRAINT "ModelFile_pkey" PRIMARY KEY ("modelId","path")
);

-- CreateTable
CREATE TABLE "Structure" (
    "modelId" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "index" INTEGER NOT NULL,
    "layer" INTEGER NOT NULL,
    "parameterCount" BIGINT NOT NULL,
    "parameters" TEXT[],

    CONSTRAINT "Structure_pkey" PRIMARY KEY ("modelId","kind","index")
);

-- CreateTable
CREATE TABLE "PruningRun" (
    "id" UUID NOT NULL,
    "modelId" UUID NOT NULL,
    "resultModelId" UUID,
    "status" "RunStatus" NOT NULL DEFAULT 'QUEUED',
    "method" TEXT NOT NULL,
    "options" JSONB NOT NULL,
    "dataset" JSONB NOT NULL,
    "executionProvider" TEXT,
    "parameterCount" BIGINT NOT NULL,
    "removedRatio" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "error" JSONB,
    "lastSequence" INTEGER NOT NULL DEFAULT 0,
    "attempt" INTEGER NOT NULL DEFAULT 0,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "startedAt" TIMESTAMPTZ(3),
    "finishedAt" TIMESTAMPTZ(3),

    CONSTRAINT "PruningRun_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Iteration" (
    "runId" UUID NOT NULL,
    "index" INTEGER NOT NULL,
    "removed" JSONB NOT NULL,
    "parameterCount" BIGINT NOT NULL,
    "removedRatio" DOUBLE PRECISION NOT NULL,
    "loss" DOUBLE PRECISION NOT NULL,
    "perturbedLoss" DOUBLE PRECISION NOT NULL,
    "durationMs" DOUBLE PRECISION NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "Iteration_pkey" PRIMARY KEY ("runId","index")
);

-- CreateTable
CREATE TABLE "StructureScores" (
    "runId" UUID NOT NULL,
    "iteration" INTEGER NOT NULL,
    "kind" TEXT NOT NULL,
    "indexes" INTEGER[],
    "scores" DOUBLE PRECISION[],

    CONSTRAINT "StructureScores_pkey" PRIMARY KEY ("runId","iteration","kind")
);

-- CreateTable
CREATE TABLE "Event" (
    "runId" UUID NOT NULL,
    "sequence" INTEGER NOT NULL,
    "type" TEXT NOT NULL,
    "payload" JSONB NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "Event_pkey" PRIMARY KEY ("runId","sequence")
);

-- CreateTable
CREATE TABLE "Evaluation" (
    "id" UUID NOT NULL,
    "modelId" UUID NOT NULL,
    "status" "RunStatus" NOT NULL DEFAULT 'QUEUED',
    "dataset" JSONB NOT NULL,
    "datasetDigest" TEXT,
    "settings" JSONB NOT NULL,
    "result" JSONB,
    "error" JSONB,
    "attempt" INTEGER NOT NULL DEFAULT 0,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "startedAt" TIMESTAMPTZ(3),
    "finishedAt" TIMESTAMPTZ(3),

    CONSTRAINT "Evaluation_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "Model_parentId_idx" ON "Model"("parentId");

-- CreateIndex
CREATE INDEX "Model_digest_idx" ON "Model"("digest");

-- CreateIndex
CREATE INDEX "ModelFile_sha256_idx" ON "ModelFile"("sha256");

-- CreateIndex
CREATE UNIQUE INDEX "PruningRun_resultModelId_key" ON "PruningRun"("resultModelId");

-- CreateIndex
CREATE INDEX "PruningRun_modelId_idx" ON "PruningRun"("modelId");

-- CreateIndex
CREATE INDEX "PruningRun_status_idx" ON "PruningRun"("status");

-- CreateIndex
CREATE INDEX "Evaluation_modelId_idx" ON "Evaluation"("modelId");

-- AddForeignKey
ALTER TABLE "Model" ADD CONSTRAINT "Model_parentId_fkey" FOREIGN KEY ("parentId") REFERENCES "Model"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ModelFile" ADD CONSTRAINT "ModelFile_modelId_fkey" FOREIGN KEY ("modelId") REFERENCES "Model"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ModelFile" ADD CONSTRAINT "ModelFile_sha256_fkey" FOREIGN KEY ("sha256") REFERENCES "Artifact"("sha256") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Structure" ADD CONSTRAINT "Structure_modelId_fkey" FOREIGN KEY ("modelId") REFERENCES "Model"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "PruningRun" ADD CONSTRAINT "PruningRun_modelId_fkey" FOREIGN KEY ("modelId") REFERENCES "Model"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "PruningRun" ADD CONSTRAINT "PruningRun_resultModelId_fkey" FOREIGN KEY ("resultModelId") REFERENCES "Model"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Iteration" ADD CONSTRAINT "Iteration_runId_fkey" FOREIGN KEY ("runId") REFERENCES "PruningRun"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "StructureScores" ADD CONSTRAINT "StructureScores_runId_fkey" FOREIGN KEY ("runId") REFERENCES "PruningRun"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Event" ADD CONSTRAINT "Event_runId_fkey" FOREIGN KEY ("runId") REFERENCES "PruningRun"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Evaluation" ADD CONSTRAINT "Evaluation_modelId_fkey" FOREIGN KEY ("modelId") REFERENCES "Model"("id") ON DELETE CASCADE ON UPDATE CASCADE;
