-- CreateTable
CREATE TABLE "CompressionStep" (
    "runId" UUID NOT NULL,
    "step" INTEGER NOT NULL,
    "sha256" CHAR(64),
    "products" JSONB NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "CompressionStep_pkey" PRIMARY KEY ("runId","step")
);

-- CreateIndex
CREATE INDEX "CompressionStep_sha256_idx" ON "CompressionStep"("sha256");

-- AddForeignKey
ALTER TABLE "CompressionStep" ADD CONSTRAINT "CompressionStep_runId_fkey" FOREIGN KEY ("runId") REFERENCES "Run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "CompressionStep" ADD CONSTRAINT "CompressionStep_sha256_fkey" FOREIGN KEY ("sha256") REFERENCES "Artifact"("sha256") ON DELETE RESTRICT ON UPDATE CASCADE;
