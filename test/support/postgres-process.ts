/** Starts or joins the embedded PostgreSQL of the data directory given, says its address, and ends it in order when told to. */
import { startEmbeddedPostgres } from "../../src/postgres/embedded-postgres.ts";

const postgres = await startEmbeddedPostgres(process.argv[2] as string, { durable: false });
process.send?.(postgres.url);
process.on("message", async () => {
  await postgres.stop();
  process.exit();
});
