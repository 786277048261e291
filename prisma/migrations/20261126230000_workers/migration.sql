-- Which workers live, and what they do. A heartbeat is no change of the list; a run that begins or ends is.

-- CreateTable
CREATE TABLE "Worker" (
    "id" UUID NOT NULL,
    "host" TEXT NOT NULL,
    "processId" INTEGER NOT NULL,
    "providers" TEXT[],
    "computesOn" TEXT[],
    "concurrency" INTEGER NOT NULL,
    "version" TEXT NOT NULL,
    "runIds" UUID[] DEFAULT ARRAY[]::UUID[],
    "startedAt" TIMESTAMPTZ(3) NOT NULL,
    "seenAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "changed" BIGINT NOT NULL DEFAULT ((pg_current_xact_id())::text)::bigint,

    CONSTRAINT "Worker_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "Worker_changed_id_idx" ON "Worker"("changed", "id");

CREATE TRIGGER "Worker_stamp" BEFORE UPDATE OF "runIds", "computesOn" ON "Worker" FOR EACH ROW EXECUTE FUNCTION espalier_stamp();
CREATE TRIGGER "Worker_bury" AFTER DELETE ON "Worker" FOR EACH ROW EXECUTE FUNCTION espalier_bury();
-- Of a heartbeat nobody is told; nor of a search for lost workers that finds none, which goes on all the time.
CREATE TRIGGER "Worker_tell" AFTER INSERT OR UPDATE OF "runIds", "computesOn" ON "Worker" FOR EACH STATEMENT EXECUTE FUNCTION espalier_tell();
CREATE TRIGGER "Worker_lost" AFTER DELETE ON "Worker" FOR EACH ROW EXECUTE FUNCTION espalier_tell();
