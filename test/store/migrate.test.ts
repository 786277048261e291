import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { PrismaPg } from "@prisma/adapter-pg";
import pg from "pg";
import { migrationStatus, schemaDiff } from "../../scripts/schema-diff.ts";
import { PrismaClient } from "../../src/generated/prisma/client.ts";
import { migrate } from "../../src/store/migrate.ts";
import { listScores } from "../../src/store/scores.ts";
import { openStore } from "../../src/store/store.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";

const migrations = fileURLToPath(new URL("../../prisma/migrations/", import.meta.url));
const scoresInPages = "20261125014000_scores_in_pages";

let database: TestDatabase;
before(async () => {
  database = await testDatabase();
});
after(() => database.close());

/** An empty database on the same server. */
async function withEmptyDatabase(name: string, work: (url: string) => Promise<void>): Promise<void> {
  await database.store.prisma.$executeRawUnsafe(`CREATE DATABASE "${name}"`);
  const url = new URL(database.url);
  url.pathname = name;
  await work(url.href);
}

async function withPool<T>(url: string, work: (pool: pg.Pool) => Promise<T>): Promise<T> {
  const pool = new pg.Pool({ connectionString: url });
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}

test("migrations bring a database to exactly what schema.prisma says", async () => {
  assert.equal((await schemaDiff(database.url)).trim(), "-- This is an empty migration.");
});

test("what is recorded is what `prisma migrate status` calls up to date", async () => {
  const { hasMigrationsTable, history, editedMigrationNames, failedMigrationNames } = await migrationStatus(database.url);
  assert.deepEqual([hasMigrationsTable, history, editedMigrationNames, failedMigrationNames], [true, null, [], []]);
});

test("the comparison sees a difference", () =>
  withEmptyDatabase("altered", async (url) => {
    await withPool(url, async (pool) => {
      await migrate(pool);
      await pool.query(`ALTER TABLE "Event" ALTER COLUMN "payload" DROP NOT NULL`);
    });
    assert.match(await schemaDiff(url), /ALTER COLUMN "payload" SET NOT NULL/);
  }));

test("five processes that migrate at once apply each migration once, and a sixth none", () =>
  withEmptyDatabase("crowd", async (url) => {
    const program = fileURLToPath(new URL("../support/migrate-process.ts", import.meta.url));
    const processes = Array.from({ length: 5 }, () => fork(program, [url]));
    await Promise.all(processes.map((child) => once(child, "message")));
    const answers = processes.map((child) => once(child, "message"));
    for (const child of processes) child.send("go");
    const applied = (await Promise.all(answers)).map(([names]) => names as string[]);
    assert.equal(applied.filter((names) => names.length > 0).length, 1);
    await withPool(url, async (pool) => {
      const { rows } = await pool.query(`SELECT * FROM "_prisma_migrations"`);
      assert.deepEqual(rows.map((row) => row.migration_name).sort(), applied.flat().sort());
      assert.ok(rows.every((row) => row.finished_at !== null && row.applied_steps_count === 1));
      assert.deepEqual(await migrate(pool), []);
    });
  }));

test("a migration that was changed after it was applied is refused", () =>
  withEmptyDatabase("changed", async (url) => {
    await withPool(url, async (pool) => {
      await migrate(pool);
      await pool.query(`UPDATE "_prisma_migrations" SET checksum = repeat('0', 64)`);
    });
    assert.ok((await migrationStatus(url)).editedMigrationNames.length > 0, "the status sees it too");
    await assert.rejects(openStore(url), { code: "MIGRATION_FAILED" });
  }));

test("scores that were stored as two arrays of any length are those that come back", () =>
  withEmptyDatabase("older", async (url) => {
    const older = readdirSync(migrations).filter((name) => /^\d+_/.test(name) && name < scoresInPages);
    await withPool(url, async (pool) => {
      for (const name of older.sort()) await pool.query(readFileSync(`${migrations}${name}/migration.sql`, "utf8"));
      await pool.query(`INSERT INTO "Model" VALUES (uuidv7(), 'm', repeat('0', 64), NULL, 1, 1, 21, '{}', '{}')`);
      await pool.query(
        `INSERT INTO "PruningRun" (id, "modelId", method, options, "parameterCount") SELECT uuidv7(), id, 'PIP', '{}', 1 FROM "Model"`,
      );
      await pool.query(`INSERT INTO "StructureScores"
        SELECT r.id, i, 'MLP', (SELECT array_agg(n) FROM generate_series(0, 299) n), (SELECT array_agg(n * 7 % 300 / 3.0::float8) FROM generate_series(0, 299) n)
        FROM "PruningRun" r, generate_series(0, 1) i`);
      await pool.query(readFileSync(`${migrations}${scoresInPages}/migration.sql`, "utf8"));
      const { rows } = await pool.query<{ id: string }>(`SELECT id FROM "PruningRun"`);
      const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
      for (const order of ["POSITION", "SCORE_ASCENDING"] as const) {
        const [page] = await listScores(prisma, [rows[0]?.id ?? ""], { first: 1000 }, order);
        assert.equal(page?.items.length, 600);
        assert.ok(page.items.every(({ index, score }) => score === ((index * 7) % 300) / 3));
      }
      await prisma.$disconnect();
    });
  }));

test("runs recorded before an option was there have it as they ran", () =>
  withEmptyDatabase("before", async (url) => {
    await withPool(url, async (pool) => {
      await migrate(pool);
      await pool.query(`INSERT INTO "Model" VALUES (uuidv7(), 'm', repeat('0', 64), NULL, 1, 1, 21, '{}', '{}')`);
      await pool.query(`INSERT INTO "PruningRun" (id, "modelId", method, options, "parameterCount")
        SELECT uuidv7(), id, 'PIP', o::jsonb, 1 FROM "Model", unnest(ARRAY['{"minKeepRatio": 0.3}', '{"gradientScale": "WEIGHT_NORM"}', '{"gradientBy": "OUTPUT"}']) o`);
      for (const name of ["20261125040000_gradient_scale", "20261125090000_gradient_by"])
        await pool.query(readFileSync(`${migrations}${name}/migration.sql`, "utf8"));
      const { rows } = await pool.query(`SELECT options FROM "PruningRun" ORDER BY options->>'gradientScale', options->>'gradientBy' DESC`);
      assert.deepEqual(
        rows.map((row) => row.options),
        [
          { gradientBy: "OUTPUT", gradientScale: "NONE", minKeepRatio: 0, uniform: null },
          { gradientBy: "WEIGHTS", gradientScale: "WEIGHT_NORM" },
          { gradientBy: "WEIGHTS", minKeepRatio: 0.3, uniform: null },
        ],
      );
    });
  }));

test("accuracies that were divided by bytes are called so, and compare with no others", () =>
  withEmptyDatabase("bytes", async (url) => {
    await withPool(url, async (pool) => {
      await migrate(pool);
      await pool.query(`INSERT INTO "Model" VALUES (uuidv7(), 'm', repeat('0', 64), NULL, 1, 1, 21, '{}', '{}')`);
      await pool.query(`INSERT INTO "Artifact" VALUES (repeat('1', 64), 1), (repeat('2', 64), 1)`);
      await pool.query(`INSERT INTO "Dataset" (id, digest, form, "recordCount", "sizeBytes")
        VALUES (uuidv7(), repeat('1', 64), 'TEXT', 1, 1), (uuidv7(), repeat('2', 64), 'MULTIPLE_CHOICE', 1, 1)`);
      const results = [
        { accuracy: 0.5, normalizedAccuracy: 0.75, normalizedAccuracyStandardError: 0.125 },
        { accuracy: null, normalizedAccuracy: null, normalizedAccuracyStandardError: null, perplexity: 9 },
        null,
      ];
      for (const [form, status, result] of [
        ["MULTIPLE_CHOICE", "SUCCEEDED", results[0]],
        ["TEXT", "SUCCEEDED", results[1]],
        ["MULTIPLE_CHOICE", "QUEUED", null],
        ["TEXT", "RUNNING", null],
      ] as const)
        await pool.query(
          `INSERT INTO "Evaluation" (id, "modelId", "datasetId", status, settings, "comparisonKey", result)
          SELECT uuidv7(), m.id, d.id, $1::"RunStatus", '{}', repeat('3', 64), $2 FROM "Model" m, "Dataset" d WHERE d.form = $3`,
          [status, result && JSON.stringify(result), form],
        );
      // Applied once more, to rows as they were: twice is as once.
      for (let times = 0; times < 2; times++)
        await pool.query(readFileSync(`${migrations}20261126000500_accuracy_by_bytes/migration.sql`, "utf8"));
      const { rows } = await pool.query(`SELECT result, "comparisonKey" IS NOT NULL AS compares FROM "Evaluation" ORDER BY id`);
      assert.deepEqual(rows, [
        { result: { accuracy: 0.5, byteNormalizedAccuracy: 0.75, byteNormalizedAccuracyStandardError: 0.125 }, compares: true },
        {
          result: { accuracy: null, byteNormalizedAccuracy: null, byteNormalizedAccuracyStandardError: null, perplexity: 9 },
          compares: true,
        },
        { result: null, compares: false },
        { result: null, compares: true },
      ]);
    });
  }));

test("a database of a newer program is refused", () =>
  withEmptyDatabase("newer", async (url) => {
    await withPool(url, async (pool) => {
      await migrate(pool);
      await pool.query(
        `INSERT INTO "_prisma_migrations" SELECT 'x', checksum, now(), '99999999_later', NULL, NULL, now(), 1 FROM "_prisma_migrations" LIMIT 1`,
      );
    });
    await assert.rejects(openStore(url), { code: "DATABASE_NEWER", details: { migrations: ["99999999_later"] } });
  }));

test("a database that is not there is an error that says so", async () => {
  await assert.rejects(openStore("postgresql://nobody@127.0.0.1:1/none"), { code: "DATABASE_UNREACHABLE" });
});
