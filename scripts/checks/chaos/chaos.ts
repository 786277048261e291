import { setTimeout as delay } from "node:timers/promises";
import { type Random, seededRandom, shuffled } from "../../../src/random.ts";
import { openStore, type Store } from "../../../src/store/store.ts";
import { Client } from "./client.ts";
import { Cluster, type Victim, victims } from "./cluster.ts";

export interface ChaosOptions {
  /** Empty: the database and the artifacts lie here. */
  readonly dataDirectory: string;
  readonly kills: number;
  readonly seed: number;
  /** Runs under way at a time. */
  readonly runs: number;
  /** The mean time between two kills. */
  readonly meanPauseMs: number;
  readonly say: (line: string) => void;
}

export interface ChaosReport {
  readonly kills: Readonly<Record<Victim, number>>;
  readonly runs: number;
  readonly iterations: number;
  readonly events: number;
  /** Times that a run was taken up by a worker, all runs together. */
  readonly attempts: number;
  /** Connections that subscribers needed, all together. */
  readonly connections: number;
  readonly durationMs: number;
}

const shared = { samples: 4, sequenceLength: 32, perturbation: { kind: "CHARACTER" } };
const training = {
  batchSize: 4,
  sequenceLength: 32,
  heldBackTexts: 8,
  steps: 16,
  checkEverySteps: 2,
  objectives: { distill: 0, languageModel: 1 },
};

/** Runs that differ in what they do in a step. */
const variants = [
  { start: "startPruning", options: { ...shared, structureKinds: ["LAYER"], targetRatio: 0.4 } },
  { start: "startPruning", options: { ...shared, structureKinds: ["ATTENTION", "MLP"], targetRatio: 0.3, structuresPerIteration: 2 } },
  { start: "startRecovery", options: training },
  { start: "startCompression", options: { samples: 64, sequenceLength: 32 } },
  { start: "startPruning", options: { ...shared, structureKinds: ["LAYER", "MLP"], targetRatio: 0.35, seed: 7 } },
] as const;

async function start(client: Client, modelId: string, variant: number, key: string): Promise<string> {
  const { start: mutation, options } = variants[variant % variants.length] as (typeof variants)[number];
  const input = { subject: { modelId }, dataset: { name: "literature-train" }, options, idempotencyKey: key };
  const type = `S${mutation.slice(1)}Input`;
  const query = `mutation ($input: ${type}!) { it: ${mutation}(input: $input) { run { id } } }`;
  return (await client.ask<{ it: { run: { id: string } } }>(query, { input })).it.run.id;
}

/** The digest of the model that a run made. */
async function resultOf(store: Store, runId: string): Promise<string> {
  const run = await store.prisma.run.findUniqueOrThrow({ where: { id: runId }, include: { resultModel: true } });
  if (run.status !== "SUCCEEDED") throw new Error(`run ${runId} ended ${run.status}: ${JSON.stringify(run.error)}`);
  return run.resultModel?.digest ?? "";
}

function requireCounting(what: string, numbers: readonly number[], from: number): void {
  const wrong = numbers.findIndex((n, i) => n !== i + from);
  if (wrong !== -1) throw new Error(`${what}: ${numbers[wrong]} in place of ${wrong + from} (of ${numbers.length})`);
}

/** Holds what is stored of a run, and what its subscriber saw, against what an undisturbed run leaves. */
async function check(store: Store, runId: string, seen: readonly number[], expected: string) {
  const digest = await resultOf(store, runId);
  if (digest !== expected) throw new Error(`run ${runId} made ${digest}, an undisturbed one ${expected}`);
  const run = await store.prisma.run.findUniqueOrThrow({ where: { id: runId } });
  const events = await store.prisma.event.findMany({ where: { runId }, orderBy: { sequence: "asc" } });
  const iterations = await store.prisma.iteration.findMany({ where: { runId }, orderBy: { index: "asc" } });
  requireCounting(
    `events of ${runId}`,
    events.map((e) => e.sequence),
    1,
  );
  requireCounting(`events of ${runId} that its subscriber saw`, seen, 1);
  requireCounting(
    `iterations of ${runId}`,
    iterations.map((i) => i.index),
    0,
  );
  const told = events.filter((e) => e.type === "ITERATION").map((e) => (e.payload as { iteration: number }).iteration);
  requireCounting(`iterations that events of ${runId} tell of`, told, 0);
  const counts = ["STARTED", "SUCCEEDED"].map((type) => events.filter((e) => e.type === type).length);
  const facts = [counts[0], counts[1], told.length, events.length, seen.length].join();
  const wanted = [1, 1, iterations.length, run.lastSequence, run.lastSequence].join();
  if (facts !== wanted)
    throw new Error(`run ${runId} has ${facts}, not ${wanted} (starts, successes, iterations told, events, events seen)`);
  return { iterations: iterations.length, events: events.length, attempts: run.attempt };
}

/** Kills, at random moments, one process after another, kinds in turn. */
async function kill(
  cluster: Cluster,
  random: Random,
  { kills, meanPauseMs, say }: ChaosOptions,
  signal: AbortSignal,
): Promise<Record<Victim, number>> {
  const counts = { worker: 0, compute: 0, api: 0, postgres: 0 };
  let deck: Victim[] = [];
  for (let done = 0; done < kills; ) {
    await delay(2 * meanPauseMs * random(), undefined, { signal });
    // Compute processes and workers are what a run lives in: they come up twice as often.
    if (deck.length === 0) deck = shuffled(random, [...victims, "worker", "compute"]);
    const victim = deck.pop() as Victim;
    const running = await cluster.running(victim);
    // Chosen all the same, so that the seed's choices do not depend on what happens to run.
    const choice = random();
    const pid = running[Math.floor(choice * running.length)];
    if (pid === undefined) continue;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      continue; // It ended by itself just now.
    }
    counts[victim]++;
    say(`kill ${++done} of ${kills}: ${victim} ${pid}`);
  }
  return counts;
}

/**
 * Prunes, heals and compresses with two API processes, three workers and one PostgreSQL while kill -9 falls on all of them, and holds every run
 * against an undisturbed one.
 *
 * @throws Error saying what was lost, repeated or different
 */
export async function chaos(options: ChaosOptions): Promise<ChaosReport> {
  const begun = performance.now();
  const random = seededRandom(options.seed, "chaos");
  const cluster = await Cluster.start(options.dataDirectory, 2, 3);
  const store = await openStore(cluster.databaseUrl);
  const over = new AbortController();
  try {
    await cluster.ready();
    const client = new Client(cluster.urls, seededRandom(options.seed, "client"), over.signal);
    const register = 'mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }';
    const { id: modelId } = (await client.ask<{ registerModel: { model: { id: string } } }>(register, {})).registerModel.model;

    const references = await Promise.all(
      variants.map(async (_, variant) => {
        const runId = await start(client, modelId, variant, `undisturbed ${variant}`);
        await client.follow(runId);
        return resultOf(store, runId);
      }),
    );
    options.say(`${references.length} undisturbed runs after ${((performance.now() - begun) / 1000).toFixed(1)} s`);

    let killing = true;
    let started = 0;
    const totals = { runs: 0, iterations: 0, events: 0, attempts: 0, connections: 0 };
    const lane = async () => {
      while (killing) {
        const variant = started++;
        const runId = await start(client, modelId, variant, `disturbed ${variant}`);
        const { sequences, connections } = await client.follow(runId);
        const found = await check(store, runId, sequences, references[variant % variants.length] as string);
        totals.runs++;
        totals.iterations += found.iterations;
        totals.events += found.events;
        totals.attempts += found.attempts;
        totals.connections += connections;
        options.say(`run ${variant}: ${found.iterations} iterations, taken up ${found.attempts} times, ${connections} connections`);
      }
    };
    const lanes = Promise.all(Array.from({ length: options.runs }, lane));
    const kills = await Promise.race([
      kill(cluster, random, options, over.signal),
      lanes.then(() => Promise.reject(new Error("no run is left"))),
    ]);
    killing = false;
    await lanes;
    return { kills, ...totals, durationMs: performance.now() - begun };
  } finally {
    over.abort();
    await store.close();
    await cluster.stop();
  }
}
