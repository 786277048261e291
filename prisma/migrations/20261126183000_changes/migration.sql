-- Lists are followed by the transactions that last wrote their rows. Transactions are numbered as they begin, and end in any order:
-- what is read is what came before the oldest that has not ended, so nothing can come later with a number that was read past.

-- AlterTable
ALTER TABLE "Dataset" ADD COLUMN     "changed" BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text)::bigint;

-- AlterTable
ALTER TABLE "Model" ADD COLUMN     "changed" BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text)::bigint;

-- AlterTable
ALTER TABLE "Run" ADD COLUMN     "changed" BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text)::bigint;

-- CreateTable
CREATE TABLE "Deletion" (
    "id" UUID NOT NULL,
    "changed" BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text)::bigint,

    CONSTRAINT "Deletion_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "Deletion_changed_id_idx" ON "Deletion"("changed", "id");

-- CreateIndex
CREATE INDEX "Dataset_changed_id_idx" ON "Dataset"("changed", "id");

-- CreateIndex
CREATE INDEX "Model_changed_id_idx" ON "Model"("changed", "id");

-- CreateIndex
CREATE INDEX "Run_changed_id_idx" ON "Run"("changed", "id");

CREATE FUNCTION espalier_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW."changed" := pg_current_xact_id()::text::bigint;
  RETURN NEW;
END $$;

CREATE FUNCTION espalier_bury() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO "Deletion" ("id") VALUES (OLD."id") ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;

-- Where a transaction changes many rows, PostgreSQL tells of it once.
CREATE FUNCTION espalier_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('espalier_news', 'changes');
  RETURN NULL;
END $$;

CREATE TRIGGER "Run_stamp" BEFORE UPDATE ON "Run" FOR EACH ROW EXECUTE FUNCTION espalier_stamp();
CREATE TRIGGER "Run_bury" AFTER DELETE ON "Run" FOR EACH ROW EXECUTE FUNCTION espalier_bury();
CREATE TRIGGER "Run_tell" AFTER INSERT OR UPDATE OR DELETE ON "Run" FOR EACH STATEMENT EXECUTE FUNCTION espalier_tell();
CREATE TRIGGER "Model_stamp" BEFORE UPDATE ON "Model" FOR EACH ROW EXECUTE FUNCTION espalier_stamp();
CREATE TRIGGER "Model_bury" AFTER DELETE ON "Model" FOR EACH ROW EXECUTE FUNCTION espalier_bury();
CREATE TRIGGER "Model_tell" AFTER INSERT OR UPDATE OR DELETE ON "Model" FOR EACH STATEMENT EXECUTE FUNCTION espalier_tell();
CREATE TRIGGER "Dataset_stamp" BEFORE UPDATE ON "Dataset" FOR EACH ROW EXECUTE FUNCTION espalier_stamp();
CREATE TRIGGER "Dataset_bury" AFTER DELETE ON "Dataset" FOR EACH ROW EXECUTE FUNCTION espalier_bury();
CREATE TRIGGER "Dataset_tell" AFTER INSERT OR UPDATE OR DELETE ON "Dataset" FOR EACH STATEMENT EXECUTE FUNCTION espalier_tell();
