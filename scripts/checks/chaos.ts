/**
 * Kills the processes of a small installation, Postgres too, at random moments, and checks that no run notices.
 *
 *     npm run chaos -- --kills 200 --seed 1
 *
 * A failure names the seed; the data, with the log of the processes, is then kept.
 */
import { rm } from "node:fs/promises";
import { parseArgs } from "node:util";
import { temporaryFolder } from "../../test/support/database.ts";
import { chaos } from "./chaos/chaos.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    pause: { type: "string", default: "1000" },
  },
});
const dataDirectory = await temporaryFolder();
try {
  const [kills, seed, meanPauseMs] = [Number(values.kills), Number(values.seed), Number(values.pause)];
  const report = await chaos({ dataDirectory, kills, seed, runs: 3, meanPauseMs, say: console.log });
  console.log(JSON.stringify(report, null, 2));
  await rm(dataDirectory, { recursive: true });
} catch (error) {
  console.error(`seed ${values.seed}; data and log in ${dataDirectory}`);
  console.error(error);
  process.exitCode = 1;
}
