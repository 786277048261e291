-- DropIndex
DROP INDEX "PruningRun_status_idx";

-- AlterTable
ALTER TABLE "PruningRun" ADD COLUMN     "fromRunId" UUID,
ADD COLUMN     "priority" INTEGER NOT NULL DEFAULT 0;

-- CreateTable
CREATE TABLE "RequestKey" (
    "operation" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "digest" CHAR(64) NOT NULL,
    "resultId" UUID NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "RequestKey_pkey" PRIMARY KEY ("operation","key")
);

-- CreateIndex
CREATE INDEX "RequestKey_resultId_idx" ON "RequestKey"("resultId");

-- CreateIndex
CREATE INDEX "PruningRun_status_priority_id_idx" ON "PruningRun"("status", "priority" DESC, "id");
