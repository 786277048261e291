import { createHash, randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Pool, PoolClient } from "pg";
import { EspalierError } from "../errors.ts";

/** The key that `prisma migrate deploy` locks: its runs and ours exclude each other. */
const lockKey = 72707369;
const folder = fileURLToPath(new URL("../../prisma/migrations/", import.meta.url));

/** As Prisma makes it, so that its tools go on working on a database that we migrated. */
const createTable = `CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
  "id" VARCHAR(36) PRIMARY KEY NOT NULL,
  "checksum" VARCHAR(64) NOT NULL,
  "finished_at" TIMESTAMPTZ,
  "migration_name" VARCHAR(255) NOT NULL,
  "logs" TEXT,
  "rolled_back_at" TIMESTAMPTZ,
  "started_at" TIMESTAMPTZ NOT NULL DEFAULT now(),
  "applied_steps_count" INTEGER NOT NULL DEFAULT 0
)`;

interface Migration {
  readonly name: string;
  readonly sql: string;
  /** sha256 of the file, hexadecimal. */
  readonly checksum: string;
}

interface AppliedMigration {
  readonly migration_name: string;
  readonly checksum: string;
  readonly finished_at: Date | null;
  readonly logs: string | null;
}

async function readMigrations(): Promise<Migration[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((e) => e.isDirectory()).map((e) => e.name);
  return Promise.all(
    names.sort().map(async (name) => {
      const bytes = await readFile(`${folder}${name}/migration.sql`);
      return { name, sql: bytes.toString("utf8"), checksum: createHash("sha256").update(bytes).digest("hex") };
    }),
  );
}

/** @throws EspalierError where the database's history is not a finished beginning of ours */
function pending(migrations: readonly Migration[], applied: readonly AppliedMigration[]): Migration[] {
  const known = new Set(migrations.map((m) => m.name));
  const unknown = applied.map((a) => a.migration_name).filter((name) => !known.has(name));
  if (unknown.length > 0)
    throw new EspalierError("DATABASE_NEWER", `the database is of a newer Espalier: it has the migrations ${unknown.join(", ")}`, {
      migrations: unknown,
    });
  return migrations.filter(({ name, checksum }) => {
    const row = applied.find((a) => a.migration_name === name);
    if (!row) return true;
    const problem = row.finished_at === null ? `did not finish (${row.logs ?? "interrupted"})` : "was changed after it was applied";
    if (row.finished_at === null || row.checksum !== checksum)
      throw new EspalierError("MIGRATION_FAILED", `migration ${name} ${problem}; see "prisma migrate resolve"`, { migration: name });
    return false;
  });
}

async function apply(client: PoolClient, { name, sql, checksum }: Migration): Promise<void> {
  const id = randomUUID();
  await client.query(`INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name") VALUES ($1, $2, $3)`, [id, checksum, name]);
  try {
    // Without parameters, so that PostgreSQL takes many statements, as one transaction.
    await client.query(sql);
  } catch (cause) {
    await client.query(`UPDATE "_prisma_migrations" SET "logs" = $2 WHERE "id" = $1`, [id, String(cause)]);
    throw new EspalierError("MIGRATION_FAILED", `migration ${name} failed: ${(cause as Error).message}`, { migration: name }, { cause });
  }
  await client.query(`UPDATE "_prisma_migrations" SET "applied_steps_count" = 1, "finished_at" = now() WHERE "id" = $1`, [id]);
}

/**
 * Brings a database to this program's schema, as `prisma migrate deploy` would. Processes that start together take turns.
 *
 * @returns the names of the migrations applied now
 * @throws EspalierError DATABASE_NEWER if the database has migrations that we do not know; MIGRATION_FAILED if one failed, now
 *   or before, or was changed since
 */
export async function migrate(pool: Pool): Promise<string[]> {
  const migrations = await readMigrations();
  const client = await pool.connect();
  try {
    await client.query("SELECT pg_advisory_lock($1)", [lockKey]);
    await client.query(createTable);
    const { rows } = await client.query<AppliedMigration>(`SELECT * FROM "_prisma_migrations" WHERE "rolled_back_at" IS NULL`);
    const todo = pending(migrations, rows);
    for (const migration of todo) await apply(client, migration);
    return todo.map((m) => m.name);
  } finally {
    // What the server may still say while it closes concerns nobody; unheard, it would end the process.
    client.on("error", () => {});
    // The lock is the connection's: closing it lets go, whatever state an error left it in.
    client.release(true);
  }
}
