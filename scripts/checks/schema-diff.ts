/**
 * Prints the SQL that turns a migrated database into what prisma/schema.prisma says: the next migration, if any.
 *
 *     npx tsx scripts/checks/schema-diff.ts > prisma/migrations/<time>_<name>/migration.sql
 *
 * Prisma's own `migrate diff` needs its native schema engine, a download; this is the same engine as WebAssembly.
 */
import { readdirSync, readFileSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { PrismaPg } from "@prisma/adapter-pg";
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from "@prisma/driver-adapter-utils";
import * as engine from "@prisma/schema-engine-wasm/schema_engine_bg";
import pg from "pg";
import { startEmbeddedPostgres } from "../../src/postgres/embedded-postgres.ts";
import { migrate } from "../../src/store/migrate.ts";

const schemaPath = fileURLToPath(new URL("../../prisma/schema.prisma", import.meta.url));
const charOid = 18;
const textOid = 25;

/** What Node has of WebAssembly and its types lack. */
interface WebAssemblyInterface {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: { __wbindgen_start(): void } } }>;
}

async function loadEngine(): Promise<void> {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyInterface };
  const bytes = readFileSync(
    createRequire(import.meta.url)
      .resolve("@prisma/schema-engine-wasm")
      .replace(/\.js$/, "_bg.wasm"),
  );
  const { instance } = await WebAssembly.instantiate(bytes, { "./schema_engine_bg.js": engine });
  (engine as unknown as { __wbg_set_wasm(exports: object): void }).__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start();
}

/** The engine is one per process: its bindings are module state. */
let loaded: Promise<void> | undefined;

/** The driver adapter does not know PostgreSQL's one-byte type "char", which the system catalogue is full of: read it as text. */
async function connect(pool: pg.Pool) {
  const adapter = await new PrismaPg(pool).connect();
  const charColumns = new Set<string>();
  const query = pool.query.bind(pool) as (...args: unknown[]) => Promise<pg.QueryResult>;
  pool.query = (async (...args: unknown[]) => {
    const result = await query(...args);
    charColumns.clear();
    for (const field of result.fields ?? []) {
      if (field.dataTypeID !== charOid) continue;
      field.dataTypeID = textOid;
      charColumns.add(field.name);
    }
    return result;
  }) as typeof pool.query;
  const queryRaw = adapter.queryRaw.bind(adapter);
  adapter.queryRaw = async (statement) => {
    const result = await queryRaw(statement);
    result.columnNames.forEach((name, i) => {
      if (charColumns.has(name)) result.columnTypes[i] = ColumnTypeEnum.Character;
    });
    return result;
  };
  return adapter;
}

/** Prisma's engine on a database, for as long as the work takes. */
async function withEngine<T>(url: string, work: (schemaEngine: engine.SchemaEngine) => Promise<T>): Promise<T> {
  loaded ??= loadEngine();
  await loaded;
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const factory = bindMigrationAwareSqlAdapterFactory({
    provider: "postgres",
    adapterName: "@prisma/adapter-pg",
    connect: () => connect(pool),
    connectToShadowDb: () => connect(pool),
  });
  try {
    return await work(await engine.SchemaEngine.new({ datamodels: [[schemaPath, readFileSync(schemaPath, "utf8")]] }, () => {}, factory));
  } finally {
    await pool.end();
  }
}

const filters = { externalTables: [], externalEnums: [] };

/** The SQL from a database's schema to schema.prisma's. */
export function schemaDiff(url: string): Promise<string> {
  const files = [{ path: schemaPath, content: readFileSync(schemaPath, "utf8") }];
  const from = { tag: "schemaDatasource" as const, files, configDir: "." };
  const to = { tag: "schemaDatamodel" as const, files };
  return withEngine(
    url,
    async (schemaEngine) => (await schemaEngine.diff({ from, to, script: true, exitCode: null, filters })).stdout ?? "",
  );
}

/** What `prisma migrate status` goes by: how the migrations that a database has recorded agree with those in the repository. */
export function migrationStatus(url: string): Promise<engine.DiagnoseMigrationHistoryOutput> {
  const baseDir = fileURLToPath(new URL("../../prisma/migrations", import.meta.url));
  const folders = readdirSync(baseDir, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const migrationDirectories = folders
    .map(({ name }) => ({ path: name, content: readFileSync(`${baseDir}/${name}/migration.sql`, "utf8") }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, content }) => ({ path, migrationFile: { path: "migration.sql", content: { tag: "ok" as const, value: content } } }));
  const lockfile = { path: "migration_lock.toml", content: readFileSync(`${baseDir}/migration_lock.toml`, "utf8") };
  const migrationsList = { baseDir, lockfile, shadowDbInitScript: "", migrationDirectories };
  return withEngine(url, (schemaEngine) =>
    schemaEngine.diagnoseMigrationHistory({ migrationsList, optInToShadowDatabase: false, filters }),
  );
}

if (import.meta.filename === process.argv[1]) {
  const directory = await mkdtemp(`${tmpdir()}/espalier-diff-`);
  await chmod(directory, 0o755);
  const postgres = await startEmbeddedPostgres(directory, { durable: false });
  const pool = new pg.Pool({ connectionString: postgres.url });
  await migrate(pool);
  await pool.end();
  process.stdout.write(await schemaDiff(postgres.url));
  await postgres.stop();
  await rm(directory, { recursive: true });
}
