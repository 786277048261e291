/**
 * Clients that ask the engine for texts of many kinds and leave at random, for a while: looks for texts that are not what their
 * request gives alone, for requests left behind, and for memory that grows.
 *
 *     npm run soak -- [--seconds 120] [--clients 64] [--seed 1]
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { soak } from "../../test/support/soak.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "120" },
    clients: { type: "string", default: "64" },
    seed: { type: "string", default: "1" },
  },
});
const [seconds, clients, seed] = [Number(values.seconds), Number(values.clients), Number(values.seed)];
const result = await soak({ folder: fileURLToPath(new URL("../../models/ahab", import.meta.url)), seconds, clients, seed, check: 200 });
console.log(JSON.stringify({ seed, ...result }));
const [early, late] = result.memory;
const sound = result.crossed === 0 && result.left.active + result.left.waiting === 0 && late < early * 1.3;
console.log(sound ? "Every text was its own, and nothing was left behind." : "Something is wrong: see above.");
process.exitCode = sound ? 0 : 1;
