/**
 * How long the API takes to answer about a large family: 10,000 models in chains and fans, 50,000 runs, and a run that scored
 * 400,000 channels in each of 20 iterations. Over HTTP, one request after another, each at a place of its own.
 *
 *     npm run bench:lineage
 *
 * Exits with 1 if a p95 is over 50 ms, or a plan reads a table whole. Only a part of a name may be looked for in all names:
 * an index of the parts would need an extension, which not every PostgreSQL lets a program create.
 */
import { rm } from "node:fs/promises";
import pg from "pg";
import { pino } from "pino";
import { startServer } from "../../src/api/server.ts";
import { ModelProcesses } from "../../src/compute/model-processes.ts";
import { Queue } from "../../src/jobs/queue.ts";
import { startEmbeddedPostgres } from "../../src/postgres/embedded-postgres.ts";
import { randomChoice, randomInteger, seededRandom } from "../../src/random.ts";
import { openStore } from "../../src/store/store.ts";
import { temporaryFolder } from "../../test/support/database.ts";
import { fillLineage } from "./lineage/fill.ts";
import { accessPaths, statementsOf } from "./lineage/statements.ts";

const [channels, iterations, rounds, limitMs] = [400_000, 20, 200, 50];

const dataDirectory = await temporaryFolder();
const postgres = await startEmbeddedPostgres(dataDirectory);
const store = await openStore(postgres.url);
const logger = pino({ level: "warn" });
const queue = await Queue.open(store, logger);
const generators = new ModelProcesses();
const server = await startServer(
  {
    store,
    queue,
    generators,
    dataDirectory,
    modelRoot: dataDirectory,
    datasetRoot: dataDirectory,
    uploadBytes: 0,
    settings: [],
    hub: { address: null, token: null },
  },
  "127.0.0.1",
  0,
  logger,
);
const { modelIds, runId, insertMs } = await fillLineage(store, channels, iterations);
console.log(`an iteration's ${channels.toLocaleString("en-US")} scores are stored in ${insertMs.toFixed(0)} ms`);

async function ask(query: string, variables: object): Promise<Record<string, { pageInfo?: { endCursor: string | null } }>> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(server.url, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = (await response.json()) as Awaited<ReturnType<typeof JSON.parse>>;
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

const random = seededRandom(1, "bench");
const scores = (order: string) => `query ($runId: ID!, $after: String, $iterations: [Int!]) {
  pruningRun(id: $runId) { scores(first: 100, after: $after, orderBy: ${order}, filter: { iterations: $iterations }) {
    nodes { iteration kind index score } pageInfo { hasNextPage endCursor } } } }`;
/** The place of a random score. */
const somewhere = (order: string) => {
  const [score, iteration, index] = [random(), randomInteger(random, iterations), randomInteger(random, channels)];
  const place = order === "POSITION" ? [iteration, "MLP", index] : [score, iteration, "MLP", index];
  return { runId, after: Buffer.from(JSON.stringify(place)).toString("base64url") };
};
const models = (type: string, filter: string) =>
  `query ($value: ${type}) { models(first: 100, filter: { ${filter}: $value }) { nodes { id name parameterCount } } }`;

const benches: Readonly<Record<string, readonly [query: string, variables: () => object]>> = {
  "lineage(depth: 20)": [
    "query ($id: ID!) { lineage(modelId: $id, depth: 20) { nodes { id name parameterCount } edges { parent { id } child { id } } } }",
    () => ({ id: randomChoice(random, modelIds) }),
  ],
  "scores(first: 100, orderBy: SCORE_ASCENDING)": [scores("SCORE_ASCENDING"), () => somewhere("SCORE_ASCENDING")],
  "scores(first: 100, orderBy: SCORE_DESCENDING)": [scores("SCORE_DESCENDING"), () => somewhere("SCORE_DESCENDING")],
  "scores(first: 100, orderBy: POSITION)": [scores("POSITION"), () => somewhere("POSITION")],
  "the same by SCORE_ASCENDING, of one iteration": [
    scores("SCORE_ASCENDING"),
    () => ({ ...somewhere("SCORE_ASCENDING"), iterations: [randomInteger(random, iterations)] }),
  ],
  "models(filter: { name }), common": [models("String", "name"), () => ({ value: `${randomInteger(random, 10)}` })],
  "models(filter: { name }), rare or none": [models("String", "name"), () => ({ value: `k ${1 + randomInteger(random, 60)} ` })],
  "models(filter: { parentId })": [models("ID", "parentId"), () => ({ value: randomChoice(random, modelIds) })],
  "pruningRuns(filter: { statuses: [QUEUED] })": [
    "{ pruningRuns(first: 100, filter: { statuses: [QUEUED] }) { nodes { id queuePosition model { name } } } }",
    () => ({}),
  ],
};

let failed = false;
const client = new pg.Client({ connectionString: postgres.url });
await client.connect();
for (const [name, [query, variables]] of Object.entries(benches)) {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const chosen = variables();
    const begun = performance.now();
    await ask(query, chosen);
    times.push(performance.now() - begun);
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(share * rounds)] as number;
  const statements = await statementsOf(() => ask(query, variables()));
  const paths = new Set<string>();
  for (const statement of statements) for (const path of await accessPaths(client, statement)) paths.add(path);
  const bad = at(0.95) > limitMs || (!name.includes("{ name }") && [...paths].some((path) => path.endsWith(" whole")));
  failed ||= bad;
  console.log(`${bad ? "✖" : "✔"} ${name}: median ${at(0.5).toFixed(1)} ms, p95 ${at(0.95).toFixed(1)} ms`);
  console.log(`    reads ${[...paths].sort().join(", ")}`);
}
await client.end();
await server.stop();
await generators.close();
await queue.close();
await store.close();
await postgres.stop();
await rm(dataDirectory, { recursive: true });
process.exitCode = failed ? 1 : 0;
