import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { PrismaPg } from "@prisma/adapter-pg";
import pg from "pg";
import { migrationStatus, schemaDiff } from "../../scripts/checks/schema-diff.ts";
import { defaultCompressionOptions } from "../../src/compression/options.ts";
import { PrismaClient } from "../../src/generated/prisma/client.ts";
import { kindOf, standsOf } from "../../src/jobs/run-kinds.ts";
import { createCompressionRun, recordCompressed } from "../../src/store/compression-runs.ts";
import { listDatasets } from "../../src/store/datasets.ts";
import { comparableOfParents, getEvaluation } from "../../src/store/evaluations.ts";
import { eventsAfter } from "../../src/store/events.ts";
import { migrate } from "../../src/store/migrate.ts";
import { deleteModel, filesInUse, listModels } from "../../src/store/models.ts";
import { claimRun } from "../../src/store/run-progress.ts";
import { cancelRun, listRuns, resumeRun } from "../../src/store/runs.ts";
import { listScores } from "../../src/store/scores.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { program } from "../support/checkout.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";

const migrations = fileURLToPath(new URL("../../prisma/migrations/", import.meta.url));
const scoresInPages = "20261125014000_scores_in_pages";
const oneThing = "20261126053000_runs_are_one_thing";
const tagsAndOrders = "20261126110000_tags_and_orders";
const compressionSteps = "20261127060000_compression_steps";

const apply = (pool: pg.Pool, name: string) => pool.query(readFileSync(`${migrations}${name}/migration.sql`, "utf8"));

/** Makes a database as the version was that a migration came after. */
async function versionBefore(pool: pg.Pool, name: string): Promise<void> {
  const older = readdirSync(migrations).filter((other) => /^\d+_/.test(other) && other < name);
  for (const each of older.sort()) await apply(pool, each);
}

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
    const processes = Array.from({ length: 5 }, () => fork(program("test/support/migrate-process"), [url]));
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
    await withPool(url, async (pool) => {
      await versionBefore(pool, scoresInPages);
      await pool.query(`INSERT INTO "Model" VALUES (uuidv7(), 'm', repeat('0', 64), NULL, 1, 1, 21, '{}', '{}')`);
      await pool.query(
        `INSERT INTO "PruningRun" (id, "modelId", method, options, "parameterCount") SELECT uuidv7(), id, 'PIP', '{}', 1 FROM "Model"`,
      );
      await pool.query(`INSERT INTO "StructureScores"
        SELECT r.id, i, 'MLP', (SELECT array_agg(n) FROM generate_series(0, 299) n), (SELECT array_agg(n * 7 % 300 / 3.0::float8) FROM generate_series(0, 299) n)
        FROM "PruningRun" r, generate_series(0, 1) i`);
      await apply(pool, scoresInPages);
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
      await versionBefore(pool, oneThing);
      await pool.query(`INSERT INTO "Model" VALUES (uuidv7(), 'm', repeat('0', 64), NULL, 1, 1, 21, '{}', '{}')`);
      await pool.query(`INSERT INTO "PruningRun" (id, "modelId", method, options, "parameterCount")
        SELECT uuidv7(), id, 'PIP', o::jsonb, 1 FROM "Model", unnest(ARRAY['{"minKeepRatio": 0.3}', '{"gradientScale": "WEIGHT_NORM"}', '{"gradientBy": "OUTPUT"}']) o`);
      for (const name of ["20261125040000_gradient_scale", "20261125090000_gradient_by"]) await apply(pool, name);
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
      await versionBefore(pool, oneThing);
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
      for (let times = 0; times < 2; times++) await apply(pool, "20261126000500_accuracy_by_bytes");
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

/** What the version before the migration stored of pruning runs and evaluations, in every state. */
const filled = `
  INSERT INTO "Model" (id, name, digest, "parentId", "sizeBytes", "parameterCount", opset, operators, architecture) VALUES
    ('00000000-0000-7000-8000-00000000000a', 'base', repeat('a', 64), NULL, 4000, 1000, 21, '{}', '{}'),
    ('00000000-0000-7000-8000-00000000000b', 'base-pip-20', repeat('b', 64), '00000000-0000-7000-8000-00000000000a', 3200, 800, 21, '{}', '{}');
  INSERT INTO "Artifact" VALUES (repeat('d', 64), 1);
  INSERT INTO "Dataset" (id, digest, form, "recordCount", "sizeBytes") VALUES ('00000000-0000-7000-8000-00000000000d', repeat('d', 64), 'TEXT', 1, 1);
  INSERT INTO "PruningRun" (id, "modelId", "resultModelId", status, method, options, "datasetId", "executionProvider", "parameterCount",
    "removedRatio", "peakMemoryBytes", error, "lastSequence", priority, "fromRunId", attempt, "createdAt", "startedAt", "finishedAt") VALUES
    ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b', 'SUCCEEDED', 'PIP',
      '{"targetRatio": 0.2, "executionProvider": "AUTO"}', '00000000-0000-7000-8000-00000000000d', 'CPU', 1000, 0.2, 5000000000, NULL, 3, 7,
      NULL, 2, '2026-11-01T00:00:00.001Z', '2026-11-01T00:00:01.002Z', '2026-11-01T00:00:02.003Z'),
    ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-00000000000a', NULL, 'FAILED', 'WANDA_SP',
      '{"targetRatio": 0.4, "executionProvider": "CPU"}', NULL, 'CPU', 1000, 0.1, NULL, '{"code": "X", "message": "why"}', 1, 0,
      '00000000-0000-7000-8000-000000000001', 1, now(), now(), now()),
    ('00000000-0000-7000-8000-000000000003', '00000000-0000-7000-8000-00000000000a', NULL, 'CANCELLED', 'PIP', '{"targetRatio": 0.5}',
      NULL, NULL, 1000, 0, NULL, NULL, 0, 0, NULL, 0, now(), NULL, now()),
    ('00000000-0000-7000-8000-000000000004', '00000000-0000-7000-8000-00000000000b', NULL, 'RUNNING', 'PIP', '{"targetRatio": 0.5}',
      '00000000-0000-7000-8000-00000000000d', 'CPU', 800, 0, NULL, NULL, 1, 0, NULL, 3, now(), now(), NULL),
    ('00000000-0000-7000-8000-000000000005', '00000000-0000-7000-8000-00000000000b', NULL, 'QUEUED', 'PIP', '{"targetRatio": 0.5}',
      '00000000-0000-7000-8000-00000000000d', NULL, 800, 0, NULL, NULL, 0, -5, NULL, 0, now(), NULL, NULL);
  INSERT INTO "Iteration" ("runId", index, removed, "parameterCount", "removedRatio", "durationMs")
    VALUES ('00000000-0000-7000-8000-000000000001', 0, '[]', 800, 0.2, 5), ('00000000-0000-7000-8000-000000000002', 0, '[]', 900, 0.1, 5);
  INSERT INTO "StructureScores" VALUES ('00000000-0000-7000-8000-000000000001', 0, 'LAYER', 1, '{0,1}', '{0.25,0.5}');
  INSERT INTO "RankedScores" VALUES ('00000000-0000-7000-8000-000000000001', 0, 'LAYER', 0, 0.25, 0, 0.5, 1, '{0,1}', '{0.25,0.5}');
  INSERT INTO "Event" ("runId", sequence, type, payload) VALUES
    ('00000000-0000-7000-8000-000000000001', 1, 'STARTED', '{}'), ('00000000-0000-7000-8000-000000000001', 2, 'ITERATION', '{"iteration": 0}'),
    ('00000000-0000-7000-8000-000000000001', 3, 'SUCCEEDED', '{}'), ('00000000-0000-7000-8000-000000000002', 1, 'FAILED', '{}'),
    ('00000000-0000-7000-8000-000000000004', 1, 'STARTED', '{}');
  INSERT INTO "RequestKey" VALUES ('startPruning', 'mine', repeat('e', 64), '00000000-0000-7000-8000-000000000001');
  INSERT INTO "Evaluation" (id, "modelId", status, "datasetId", settings, "comparisonKey", "overlapRatio", "progressDone", "progressTotal",
    result, error, attempt, "createdAt", "startedAt", "finishedAt") VALUES
    ('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-00000000000a', 'SUCCEEDED', '00000000-0000-7000-8000-00000000000d',
      '{"sequenceLength": 64, "executionProvider": "AUTO"}', repeat('c', 64), 0.01, 3, 8, '{"perplexity": 20.000000000000004, "executionProvider": "CUDA"}',
      NULL, 2, '2026-11-02T00:00:00.001Z', '2026-11-02T00:00:01.002Z', '2026-11-02T00:00:02.003Z'),
    ('00000000-0000-7000-8000-000000000012', '00000000-0000-7000-8000-00000000000b', 'SUCCEEDED', '00000000-0000-7000-8000-00000000000d',
      '{"sequenceLength": 64}', repeat('c', 64), 0, 8, 8, '{"perplexity": 30}', NULL, 1, now(), now(), now()),
    ('00000000-0000-7000-8000-000000000013', '00000000-0000-7000-8000-00000000000a', 'FAILED', NULL, '{"sequenceLength": 64}', NULL, NULL, 0, NULL,
      NULL, '{"code": "Y", "message": "because"}', 1, now(), now(), now()),
    ('00000000-0000-7000-8000-000000000014', '00000000-0000-7000-8000-00000000000a', 'RUNNING', NULL, '{"sequenceLength": 64}', NULL, NULL, 2, 8,
      NULL, NULL, 1, now(), now(), NULL),
    ('00000000-0000-7000-8000-000000000015', '00000000-0000-7000-8000-00000000000a', 'QUEUED', NULL, '{"sequenceLength": 64}', NULL, NULL, 0, NULL,
      NULL, NULL, 0, now(), NULL, NULL);`;

/** What that version had in its tables, for what came of it to be held against. */
const kept = (tables: readonly string[]) =>
  tables.map((table) => `SELECT to_jsonb(t) - 'parameterCount' AS row FROM "${table}" t ORDER BY to_jsonb(t)->>'id', to_jsonb(t)::text`);

test("pruning runs and evaluations of the version before are runs of their kind, whole and under their ids, and go on", () =>
  withEmptyDatabase("two-tables", async (url) => {
    await withPool(url, async (pool) => {
      const rowsOf = async (query: string) => (await pool.query<{ row: Record<string, unknown> }>(query)).rows.map(({ row }) => row);
      await versionBefore(pool, oneThing);
      await pool.query(filled);
      const beside = ["Iteration", "StructureScores", "RankedScores", "Event", "RequestKey", "Model"];
      const before = await Promise.all(kept(["PruningRun", "Evaluation", ...beside]).map(rowsOf));
      await apply(pool, oneThing);
      const [runs = [], ...others] = await Promise.all(kept(["Run", ...beside]).map(rowsOf));
      assert.deepEqual(others, before.slice(2), "what hangs on them is as it was");

      const moved = [
        ...(before[0] ?? []).map((row) => ({ kind: "PRUNING", ...row })),
        ...(before[1] ?? []).map(({ settings, progressDone, progressTotal, ...row }) => ({
          kind: "EVALUATION",
          options: settings,
          ...row,
        })),
      ];
      assert.equal(runs.length, moved.length);
      for (const [i, old] of moved.entries())
        for (const [column, value] of Object.entries(old)) assert.deepEqual(runs[i]?.[column], value, `${column} of ${runs[i]?.["id"]}`);
      assert.deepEqual(
        runs.map((run) => run["progress"]),
        [1, 0.25, 0, 0, 0, 1, 1, 0, 0.25, 0],
      );
      assert.equal(runs[5]?.["executionProvider"], "CUDA", "what an evaluation ran on");
    });

    // As the program reads them, and goes on with them.
    const pool = new pg.Pool({ connectionString: url });
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    const id = (n: number) => `00000000-0000-7000-8000-0000000000${n}`;
    assert.deepEqual(
      (await listRuns(prisma, { first: 10 }, { kinds: ["PRUNING"] })).items.map((run) => run.id),
      ["05", "04", "03", "02", "01"].map((n) => `00000000-0000-7000-8000-0000000000${n}`),
    );
    assert.equal((await getEvaluation(prisma, id(11))).result?.perplexity, 20.000000000000004);
    assert.equal((await comparableOfParents(prisma, [id(12)]))[0]?.id, id(11));
    const store = { prisma } as Store;
    const resumed = await resumeRun(store, "00000000-0000-7000-8000-000000000002", standsOf, async () => {});
    assert.deepEqual([resumed.status, resumed.lastSequence], ["QUEUED", 2]);
    const claimed = await claimRun(store, id(14), kindOf({ kind: "EVALUATION" }).begin);
    assert.deepEqual([claimed?.kind, claimed?.attempt], ["EVALUATION", 2]);
    assert.deepEqual(
      (await eventsAfter(prisma, id(14), 0, 10)).map((event) => [event.sequence, event.type, event.payload]),
      [[1, "STARTED", { attempt: 2 }]],
    );
    await prisma.$disconnect();
    await pool.end();
  }));

test("models and datasets of the version before are as they were, without note and tags, and are listed by them", () =>
  withEmptyDatabase("untagged", async (url) => {
    await withPool(url, async (pool) => {
      await versionBefore(pool, tagsAndOrders);
      await pool.query(`
        INSERT INTO "Model" (id, name, digest, "sizeBytes", "parameterCount", opset, operators, architecture, notes)
          SELECT uuidv7(), n, repeat('0', 64), 1, length(n), 21, '{}', '{}', '{"read so"}' FROM unnest(ARRAY['b', 'ccc', 'aa']) n;
        INSERT INTO "Artifact" VALUES (repeat('d', 64), 6);
        INSERT INTO "Dataset" (id, name, digest, form, "recordCount", "sizeBytes") VALUES (uuidv7(), 'd', repeat('d', 64), 'TEXT', 1, 6);`);
      const rows = async () => (await pool.query(`SELECT to_jsonb(m) - '{note,tags}'::text[] AS row FROM "Model" m ORDER BY id`)).rows;
      const earlier = await rows();
      await apply(pool, tagsAndOrders);
      assert.deepEqual(await rows(), earlier);
      const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
      const { items } = await listModels(prisma, { first: 10 }, {}, "LARGEST_FIRST");
      assert.deepEqual(
        items.map(({ name, note, tags, notes }) => [name, note, tags, notes]),
        ["ccc", "aa", "b"].map((name) => [name, "", [], ["read so"]]),
      );
      assert.deepEqual((await listModels(prisma, { first: 10 }, { tags: ["x"] })).items, []);
      assert.deepEqual(
        (await listDatasets(prisma, { first: 10 })).items.map(({ name, tags }) => [name, tags]),
        [["d", []]],
      );
      await prisma.$disconnect();
    });
  }));

test("runs of the version before keep their checkpoints, and runs that compress are stored beside them", () =>
  withEmptyDatabase("uncompressed", async (url) => {
    await withPool(url, async (pool) => {
      await versionBefore(pool, compressionSteps);
      await pool.query(`
        INSERT INTO "Artifact" VALUES (repeat('c', 64), 6);
        INSERT INTO "Model" (id, name, digest, "sizeBytes", "parameterCount", opset, operators, architecture)
          VALUES (uuidv7(), 'm', repeat('0', 64), 1, 1, 21, '{}', '{}');
        INSERT INTO "Run" (id, kind, status, "modelId", method, options)
          SELECT uuidv7(), 'RECOVERY', 'CANCELLED', id, 'LORA', '{"executionProvider": "AUTO"}' FROM "Model";
        INSERT INTO "Checkpoint" ("runId", step, sha256) SELECT id, 20, repeat('c', 64) FROM "Run";`);
      const rows = async () =>
        (await pool.query(`SELECT to_jsonb(r) AS run, to_jsonb(c) AS checkpoint FROM "Run" r LEFT JOIN "Checkpoint" c ON c."runId" = r.id`))
          .rows;
      const earlier = await rows();
      await apply(pool, compressionSteps);
      assert.deepEqual(await rows(), earlier);
      const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
      const store = { prisma } as Store;
      const [c, e] = ["c".repeat(64), "e".repeat(64)] as const;
      const { modelId } = await prisma.run.findFirstOrThrow();
      const asked = { modelId: modelId ?? "", method: "RTN", options: defaultCompressionOptions };
      const { id } = await createCompressionRun(store, asked, async () => {});
      const claim = await claimRun(store, id);
      const step = { step: 1, steps: 2, products: [], estimatedMsLeft: 0 };
      await recordCompressed(store, claim ?? { id, attempt: 0 }, step, { sha256: e, sizeBytes: 1 });
      assert.deepEqual(
        (await filesInUse(prisma)).map(({ sha256 }) => sha256),
        [c, e],
      );
      await cancelRun(store, id);
      assert.deepEqual([...(await deleteModel(store, modelId ?? "", false)).sha256s].sort(), [c, e]);
      await prisma.$disconnect();
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
