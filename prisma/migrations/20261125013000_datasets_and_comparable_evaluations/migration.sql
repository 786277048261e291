-- What jobs asked for before datasets were records stays with them, under another name.
ALTER TABLE "Evaluation" RENAME COLUMN "dataset" TO "datasetRequest";
ALTER TABLE "Evaluation" ALTER COLUMN "datasetRequest" DROP NOT NULL;
ALTER TABLE "PruningRun" RENAME COLUMN "dataset" TO "datasetRequest";
ALTER TABLE "PruningRun" ALTER COLUMN "datasetRequest" DROP NOT NULL;

-- AlterTable: the digest of what was measured on is also in the result.
ALTER TABLE "Evaluation" DROP COLUMN "datasetDigest",
ADD COLUMN     "comparisonKey" CHAR(64),
ADD COLUMN     "datasetId" UUID,
ADD COLUMN     "overlapRatio" DOUBLE PRECISION,
ADD COLUMN     "progressDone" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "progressTotal" INTEGER;

-- AlterTable
ALTER TABLE "PruningRun" ADD COLUMN     "datasetId" UUID,
ADD COLUMN     "peakMemoryBytes" BIGINT;

-- CreateTable
CREATE TABLE "Dataset" (
    "id" UUID NOT NULL,
    "name" TEXT,
    "description" TEXT NOT NULL DEFAULT '',
    "digest" CHAR(64) NOT NULL,
    "form" TEXT NOT NULL,
    "recordCount" INTEGER NOT NULL,
    "sizeBytes" BIGINT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "Dataset_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "DatasetOverlap" (
    "datasetId" UUID NOT NULL,
    "otherId" UUID NOT NULL,
    "ratio" DOUBLE PRECISION NOT NULL,
    "example" TEXT,

    CONSTRAINT "DatasetOverlap_pkey" PRIMARY KEY ("datasetId","otherId")
);

-- CreateIndex
CREATE UNIQUE INDEX "Dataset_name_key" ON "Dataset"("name");

-- CreateIndex
CREATE UNIQUE INDEX "Dataset_digest_key" ON "Dataset"("digest");

-- CreateIndex
CREATE INDEX "DatasetOverlap_otherId_idx" ON "DatasetOverlap"("otherId");

-- CreateIndex
CREATE INDEX "Evaluation_datasetId_idx" ON "Evaluation"("datasetId");

-- CreateIndex
CREATE INDEX "Evaluation_comparisonKey_idx" ON "Evaluation"("comparisonKey");

-- CreateIndex
CREATE INDEX "PruningRun_datasetId_idx" ON "PruningRun"("datasetId");

-- AddForeignKey
ALTER TABLE "Dataset" ADD CONSTRAINT "Dataset_digest_fkey" FOREIGN KEY ("digest") REFERENCES "Artifact"("sha256") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "DatasetOverlap" ADD CONSTRAINT "DatasetOverlap_datasetId_fkey" FOREIGN KEY ("datasetId") REFERENCES "Dataset"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "DatasetOverlap" ADD CONSTRAINT "DatasetOverlap_otherId_fkey" FOREIGN KEY ("otherId") REFERENCES "Dataset"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "PruningRun" ADD CONSTRAINT "PruningRun_datasetId_fkey" FOREIGN KEY ("datasetId") REFERENCES "Dataset"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Evaluation" ADD CONSTRAINT "Evaluation_datasetId_fkey" FOREIGN KEY ("datasetId") REFERENCES "Dataset"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
