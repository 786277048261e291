import type { Argv } from "yargs";
import { withStore } from "./shared/with-store.ts";

const graceMs = 60 * 60_000;

/**
 * Checks that the database and the artifact store agree: every file of every model is there with the right bytes, and
 * nothing else is. It may run beside servers and workers: what is younger than an hour and unreferenced is left alone.
 *
 * Ends with 0 if all is well, 1 if something is wrong still, 2 if it could not check.
 */
export const fsck = (program: Argv) =>
  program.command(
    "fsck",
    "Checks the files of all models against the database; ends with 1 if something is wrong still",
    { repair: { type: "boolean", default: false, describe: "repair what can be" } },
    async ({ repair }) => {
      process.exitCode = 2;
      process.exitCode = (await check(repair)) === 0 ? 0 : 1;
    },
  );

/** @returns how many problems are left */
async function check(repair: boolean): Promise<number> {
  const { fsck: findings } = await import("../services/fsck.ts");
  let wrong = 0;
  await withStore(async (store, { dataDirectory }) => {
    for await (const { problem, what, owners, repair: done } of findings({ store, dataDirectory, repair, graceMs })) {
      if (done === null) wrong++;
      console.log(`${problem} ${what}${owners.length > 0 ? ` of ${owners.join(", ")}` : ""}${done === null ? "" : `: ${done}`}`);
    }
  });
  console.log(
    wrong === 0 ? "The database and the files agree." : `${wrong} problems are left${repair ? "" : "; --repair repairs what can be"}.`,
  );
  return wrong;
}
