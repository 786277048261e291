import { parseArgs } from "node:util";
import { readConfig } from "./config.ts";
import { EspalierError } from "./errors.ts";
import { fsck } from "./jobs/fsck.ts";
import { startEmbeddedPostgres } from "./store/embedded-postgres.ts";
import { openStore } from "./store/store.ts";

const graceMs = 60 * 60_000;

/**
 * Checks that the database and the artifact store agree: every file of every model is there with the right bytes, and
 * nothing else is. With `--repair` what can be repaired is. It may run beside servers and workers: what is younger than an
 * hour and unreferenced is left alone.
 *
 * @returns the status to exit with: 1 if something is wrong still
 */
async function main(): Promise<number> {
  const { repair } = parseArgs({ options: { repair: { type: "boolean", default: false } } }).values;
  const { dataDirectory, databaseUrl } = readConfig();
  const postgres = databaseUrl === null ? await startEmbeddedPostgres(dataDirectory) : null;
  const store = await openStore(databaseUrl ?? postgres?.url ?? "");
  let wrong = 0;
  try {
    for await (const { problem, what, owners, repair: done } of fsck({ store, dataDirectory, repair, graceMs })) {
      if (done === null) wrong++;
      console.log(`${problem} ${what}${owners.length > 0 ? ` of ${owners.join(", ")}` : ""}${done === null ? "" : `: ${done}`}`);
    }
  } finally {
    await store.close();
    await postgres?.stop();
  }
  console.log(
    wrong === 0 ? "The database and the files agree." : `${wrong} problems are left${repair ? "" : "; --repair repairs what can be"}.`,
  );
  return wrong === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof EspalierError ? `${error.message} [${error.code}]` : error);
  process.exitCode = 2;
}
