import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { chmod, lstat, readFile, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import pg from "pg";
import { startEmbeddedPostgres } from "../../src/postgres/embedded-postgres.ts";
import { program } from "../support/checkout.ts";
import { temporaryFolder } from "../support/database.ts";
import { until } from "../support/wait.ts";

const options = { durable: false };

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** The process that the cluster's lock file names. */
const postmaster = async (folder: string): Promise<number> =>
  Number((await readFile(join(folder, "postgres", "cluster", "postmaster.pid"), "utf8").catch(() => "")).split("\n")[0]);

const unreachable = (url: string) => assert.rejects(query(url, "SELECT 1"), { code: "ECONNREFUSED" });

async function inProcess(directory: string): Promise<{ child: ChildProcess; url: string }> {
  const child = fork(program("test/support/postgres-process"), [directory]);
  const [url] = await once(child, "message");
  return { child, url };
}

async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.send("stop");
  await exited;
}

let directory: string;
before(async () => {
  directory = await temporaryFolder();
});
after(() => rm(directory, { recursive: true }));

test("data outlive the server, and a wrong password is refused", async () => {
  const first = await startEmbeddedPostgres(directory, options);
  await query(first.url, "CREATE TABLE kept AS SELECT 'Ahab' AS name");
  const wrong = new URL(first.url);
  wrong.password = "wrong";
  await assert.rejects(query(wrong.href, "SELECT 1"), { code: "28P01" });
  await first.stop();
  await unreachable(first.url);
  const second = await startEmbeddedPostgres(directory, options);
  assert.deepEqual(await query(second.url, "SELECT name FROM kept"), [{ name: "Ahab" }]);
  await second.stop();
});

test("a process that joins leaves the server to the one that started it", async () => {
  const own = await startEmbeddedPostgres(directory, options);
  const { child, url } = await inProcess(directory);
  assert.equal(url, own.url);
  await end(child);
  await query(own.url, "SELECT 1");
  await own.stop();
  await unreachable(url);
});

test("a server whose starter was killed is joined, and stopped by the one that joined", async () => {
  const { child, url } = await inProcess(directory);
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
  await query(url, "SELECT 1");
  const own = await startEmbeddedPostgres(directory, options);
  assert.equal(own.url, url);
  await own.stop();
  await unreachable(url);
});

test("a server that is killed is started again, at the same address, with all that was committed", async () => {
  const own = await startEmbeddedPostgres(directory);
  await query(own.url, "CREATE TABLE survivors (n int)");
  for (let n = 1; n <= 3; n++) {
    await query(own.url, `INSERT INTO survivors VALUES (${n})`);
    const killed = await postmaster(directory);
    process.kill(killed, "SIGKILL");
    await until("another server runs", async () => (await postmaster(directory)) !== killed);
    const kept = await until("it answers", () => query(own.url, "SELECT n FROM survivors").catch(() => null));
    assert.equal(kept.length, n);
  }
  await query(own.url, "DROP TABLE survivors");
  await own.stop();
  await unreachable(own.url);
});

test("processes that start at once on a new data directory share one server", async () => {
  const fresh = await temporaryFolder();
  const all = await Promise.all([1, 2, 3].map(() => inProcess(fresh)));
  assert.equal(new Set(all.map(({ url }) => url)).size, 1);
  await query(all[0]?.url ?? "", "SELECT 1");
  await Promise.all(all.map(({ child }) => end(child)));
  await unreachable(all[0]?.url ?? "");
  await rm(fresh, { recursive: true });
});

test("a server that cannot start says why in PostgreSQL's own words", async () => {
  const broken = await temporaryFolder();
  await (await startEmbeddedPostgres(broken, options)).stop();
  await rm(join(broken, "postgres", "cluster", "global"), { recursive: true });
  await assert.rejects(startEmbeddedPostgres(broken, options), { code: "EMBEDDED_POSTGRES_FAILED", message: /could not open/ });
  await rm(broken, { recursive: true });
});

test("root can keep its data directory in a closed folder: the database lies elsewhere, and the data directory says where", {
  skip: process.getuid?.() !== 0 && "only root's server runs as another user",
}, async () => {
  const closed = await temporaryFolder();
  await chmod(closed, 0o700);
  const postgres = await startEmbeddedPostgres(join(closed, "data"), options);
  await query(postgres.url, "SELECT 1");
  await postgres.stop();
  const link = join(closed, "data", "postgres");
  assert.ok((await lstat(link)).isSymbolicLink());
  const home = await realpath(link);
  assert.equal(await readFile(join(home, "cluster", "PG_VERSION"), "utf8"), "18\n");
  await rm(home, { recursive: true });
  await rm(closed, { recursive: true });
});
