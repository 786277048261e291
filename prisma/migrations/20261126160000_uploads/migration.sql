-- DropIndex
DROP INDEX "Run_resultModelId_key";

-- CreateTable
CREATE TABLE "Upload" (
    "id" UUID NOT NULL,
    "tokenId" UUID,
    "files" JSONB NOT NULL,
    "sizeBytes" BIGINT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expiresAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "Upload_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "Upload_tokenId_idx" ON "Upload"("tokenId");

-- CreateIndex
CREATE INDEX "Upload_expiresAt_idx" ON "Upload"("expiresAt");

-- CreateIndex
CREATE INDEX "Run_resultModelId_idx" ON "Run"("resultModelId");
