/** Migrates the database at the address given when told to, and says which migrations it applied. */
import pg from "pg";
import { migrate } from "../../src/store/migrate.ts";

const pool = new pg.Pool({ connectionString: process.argv[2] as string });
process.once("message", async () => {
  const applied = await migrate(pool);
  await pool.end();
  process.send?.(applied, undefined, undefined, () => process.disconnect());
});
process.send?.("ready");
