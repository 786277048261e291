-- AlterTable
ALTER TABLE "Dataset" ADD COLUMN     "tags" TEXT[] DEFAULT ARRAY[]::TEXT[];

-- AlterTable
ALTER TABLE "Model" ADD COLUMN     "note" TEXT NOT NULL DEFAULT '',
ADD COLUMN     "tags" TEXT[] DEFAULT ARRAY[]::TEXT[];

-- CreateIndex
CREATE INDEX "Model_name_id_idx" ON "Model"("name", "id");

-- CreateIndex
CREATE INDEX "Model_parameterCount_id_idx" ON "Model"("parameterCount", "id");

-- CreateIndex
CREATE INDEX "Model_createdAt_idx" ON "Model"("createdAt");

-- CreateIndex
CREATE INDEX "Model_tags_idx" ON "Model" USING GIN ("tags");

-- CreateIndex
CREATE INDEX "Run_createdAt_idx" ON "Run"("createdAt");
