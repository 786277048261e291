-- CreateTable
CREATE TABLE "ModelExport" (
    "id" UUID NOT NULL,
    "modelId" UUID NOT NULL,
    "runId" UUID NOT NULL,
    "format" TEXT NOT NULL,
    "options" JSONB NOT NULL,
    "digest" CHAR(64) NOT NULL,
    "sizeBytes" BIGINT NOT NULL,
    "notes" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "ModelExport_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ExportFile" (
    "exportId" UUID NOT NULL,
    "path" TEXT NOT NULL,
    "sha256" CHAR(64) NOT NULL,

    CONSTRAINT "ExportFile_pkey" PRIMARY KEY ("exportId","path")
);

-- CreateIndex
CREATE UNIQUE INDEX "ModelExport_runId_key" ON "ModelExport"("runId");

-- CreateIndex
CREATE INDEX "ModelExport_modelId_id_idx" ON "ModelExport"("modelId", "id");

-- CreateIndex
CREATE INDEX "ModelExport_digest_idx" ON "ModelExport"("digest");

-- CreateIndex
CREATE INDEX "ExportFile_sha256_idx" ON "ExportFile"("sha256");

-- AddForeignKey
ALTER TABLE "ModelExport" ADD CONSTRAINT "ModelExport_modelId_fkey" FOREIGN KEY ("modelId") REFERENCES "Model"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ModelExport" ADD CONSTRAINT "ModelExport_runId_fkey" FOREIGN KEY ("runId") REFERENCES "Run"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ExportFile" ADD CONSTRAINT "ExportFile_exportId_fkey" FOREIGN KEY ("exportId") REFERENCES "ModelExport"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ExportFile" ADD CONSTRAINT "ExportFile_sha256_fkey" FOREIGN KEY ("sha256") REFERENCES "Artifact"("sha256") ON DELETE RESTRICT ON UPDATE CASCADE;
