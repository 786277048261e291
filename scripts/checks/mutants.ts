/**
 * Changes the sources given, one small slip at a time, and says which slips no test notices: mutation testing.
 *
 *     npm run mutants -- src/structures src/api/limits.ts
 *     npm run mutants -- src/store --sample 100 --seed 1
 *
 * The checkout stays as it is. A run that is cut short goes on where it was, and one that comes again tries anew only what has
 * changed, or whose tests have. Exits with 1 if anything survives.
 */
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeMutation } from "./mutants/mutations.ts";
import { mutantsIn, tryMutants } from "./mutants/try-mutants.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sample: { type: "string" },
    seed: { type: "string", default: "1" },
    tests: { type: "string", default: "8" },
  },
});
const root = fileURLToPath(new URL("../..", import.meta.url));
const paths = positionals.map((path) => relative(root, path).replaceAll("\\", "/"));
if (paths.length === 0) throw new Error("name sources or folders of sources, such as src/structures");
const sample = values.sample === undefined ? null : Number(values.sample);
const total = mutantsIn(root, paths).length;
console.log(`${total} mutants${sample === null ? "" : `, of which ${Math.min(sample, total)} by seed ${values.seed}`}`);

// Whatever was begun is cleared away on the way out.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

const counts = { KILLED: 0, TIMED_OUT: 0, SURVIVED: 0, UNREACHED: 0 };
const begun = performance.now();
const options = { root, paths, sample, seed: Number(values.seed), tests: Number(values.tests), say: console.log };
for await (const { source, text, mutation, verdict } of tryMutants({
  ...options,
  ledger: join(root, "node_modules/.cache/mutants.jsonl"),
  baselines: join(root, "node_modules/.cache/mutants-tests.json"),
})) {
  counts[verdict.outcome]++;
  if (verdict.outcome === "SURVIVED" || verdict.outcome === "UNREACHED")
    console.log(`${source}:${describeMutation(text, mutation)}${verdict.outcome === "UNREACHED" ? "   (no test tried reaches it)" : ""}`);
}
const seconds = Math.round((performance.now() - begun) / 1000);
const { KILLED, TIMED_OUT, SURVIVED, UNREACHED } = counts;
console.log(`${KILLED} killed, ${TIMED_OUT} ran out of time, ${SURVIVED} survived, ${UNREACHED} unreached, in ${seconds} s`);
process.exitCode = SURVIVED + UNREACHED > 0 ? 1 : 0;
