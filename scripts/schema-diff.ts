/**
 * Prints the SQL that turns a migrated database into what prisma/schema.prisma says: the next migration, if any.
 *
 *     npx tsx scripts/schema-diff.ts > prisma/migrations/<time>_<name>/migration.sql
 *
 * Prisma's own `migrate diff` needs its native schema engine, a download; this is the same engine as WebAssembly.
 */
import { readFileSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { PrismaPg } from "@prisma/adapter-pg";
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from "@prisma/driver-adapter-utils";
import * as engine from "@prisma/schema-engine-wasm/schema_engine_bg";
import pg from "pg";
import { startEmbeddedPostgres } from "../src/store/embedded-postgres.ts";
import { migrate } from "../src/store/migrate.ts";

const schemaPath = fileURLToPath(new URL("../prisma/schema.prisma", import.meta.url));
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

/** The SQL from a database's schema to schema.prisma's. */
export async function schemaDiff(url: string): Promise<string> {
  loaded ??= loadEngine();
  await loaded;
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const factory = bindMigrationAwareSqlAdapterFactory({
    provider: "postgres",
    adapterName: "@prisma/adapter-pg",
    connect: () => connect(pool),
    connectToShadowDb: () => connect(pool),
  });
  const content = readFileSync(schemaPath, "utf8");
  const files = [{ path: schemaPath, content }];
  try {
    const schemaEngine = await engine.SchemaEngine.new({ datamodels: [[schemaPath, content]] }, () => {}, factory);
    const { stdout } = await schemaEngine.diff({
      from: { tag: "schemaDatasource", files, configDir: "." },
      to: { tag: "schemaDatamodel", files },
      script: true,
      exitCode: null,
      filters: { externalTables: [], externalEnums: [] },
    });
    return stdout ?? "";
  } finally {
    await pool.end();
  }
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
