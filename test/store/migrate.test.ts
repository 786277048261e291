import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import pg from "pg";
import { schemaDiff } from "../../scripts/schema-diff.ts";
import { migrate } from "../../src/store/migrate.ts";
import { openStore } from "../../src/store/store.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";

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
    const pools = Array.from({ length: 5 }, () => new pg.Pool({ connectionString: url }));
    const applied = await Promise.all(pools.map(migrate));
    assert.equal(applied.filter((names) => names.length > 0).length, 1);
    const [pool] = pools as [pg.Pool];
    const { rows } = await pool.query(`SELECT * FROM "_prisma_migrations"`);
    assert.deepEqual(rows.map((row) => row.migration_name).sort(), applied.flat().sort());
    assert.ok(rows.every((row) => row.finished_at !== null && row.applied_steps_count === 1));
    assert.deepEqual(await migrate(pool), []);
    await Promise.all(pools.map((p) => p.end()));
  }));

test("a migration that was changed after it was applied is refused", () =>
  withEmptyDatabase("changed", async (url) => {
    await withPool(url, async (pool) => {
      await migrate(pool);
      await pool.query(`UPDATE "_prisma_migrations" SET checksum = repeat('0', 64)`);
    });
    await assert.rejects(openStore(url), { code: "MIGRATION_FAILED" });
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
