/**
 * What many subscribers of one run cost an API process: its memory over time, and how late events reach them.
 *
 *     npm run bench:subscribers -- --subscribers 1000 --rate 20 --minutes 5
 *
 * The API, the subscribers and the writer are processes of their own. Exits with 1 if an event is lost or repeated, or if the
 * API's memory has grown by more than a tenth between the second quarter and the last.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { WebSocket } from "ws";
import { startEmbeddedPostgres } from "../../src/postgres/embedded-postgres.ts";
import { mean } from "../../src/pruning/mean.ts";
import { recordPassing, recordStart } from "../../src/store/pruning-runs.ts";
import { claimRun } from "../../src/store/run-progress.ts";
import { openStore } from "../../src/store/store.ts";
import { temporaryFolder } from "../../test/support/database.ts";
import { newRun } from "../../test/support/records.ts";
import { residentMiB, startApi } from "./api-process.ts";

interface Report {
  readonly received: number;
  readonly faults: number;
  readonly latenciesMs: readonly number[];
}

/** In the subscribers' process: opens them all, and when told to stop says what they saw. */
async function subscribe(url: string, runId: string, count: number): Promise<void> {
  const report = { received: 0, faults: 0, latenciesMs: [] as number[] };
  const query = `subscription { runProgress(runId: "${runId}") { sequence createdAt } }`;
  const open = async () => {
    const socket = new WebSocket(url, "graphql-transport-ws");
    let last = 0;
    socket.on("message", (data) => {
      const text = String(data);
      const [, sequence] = /"sequence":(\d+)/.exec(text) ?? [];
      if (sequence === undefined) return;
      if (Number(sequence) !== last + 1) report.faults++;
      last = Number(sequence);
      report.received++;
      if (report.received % 97 === 0) report.latenciesMs.push(Date.now() - Date.parse(/"createdAt":"([^"]+)"/.exec(text)?.[1] ?? ""));
    });
    socket.on("close", () => report.faults++);
    await once(socket, "open");
    socket.send(JSON.stringify({ type: "connection_init" }));
    await once(socket, "message");
    socket.send(JSON.stringify({ id: "1", type: "subscribe", payload: { query } }));
  };
  for (let i = 0; i < count; i++) await open();
  process.send?.("ready");
  process.on("message", () => process.send?.(report));
}

async function bench(subscribers: number, rate: number, minutes: number): Promise<boolean> {
  const dataDirectory = await temporaryFolder();
  const postgres = await startEmbeddedPostgres(dataDirectory);
  const store = await openStore(postgres.url);
  const { api, url } = await startApi(postgres.url, dataDirectory);
  const { id: runId } = await newRun(store);
  const claim = await claimRun(store, runId);
  if (!claim) throw new Error("the run cannot be claimed");
  await recordStart(store, claim, { executionProvider: "CPU", parameterCount: 1000, targetParameterCount: 1, candidates: 1 });
  const clients = fork(fileURLToPath(import.meta.url), [
    "--as-client",
    url.replace("http", "ws"),
    "--run",
    runId,
    "--subscribers",
    String(subscribers),
  ]);
  await once(clients, "message");
  console.log(`${subscribers} subscribers are connected; the API holds ${residentMiB(api.pid as number).toFixed(0)} MiB`);

  const memory: number[] = [];
  const watching = setInterval(() => memory.push(residentMiB(api.pid as number)), 1000);
  const begun = performance.now();
  let written = 0;
  for (; performance.now() - begun < minutes * 60_000; written++) {
    await recordPassing(store, claim, "SCORING", { iteration: 0, samplesDone: written, samplesTotal: 1e6 });
    await delay(Math.max(0, begun + ((written + 1) * 1000) / rate - performance.now()));
  }
  clearInterval(watching);
  // The last events are on their way.
  await delay(3000);
  clients.send("report");
  const [{ received, faults, latenciesMs }] = (await once(clients, "message")) as [Report];
  clients.kill();
  const quarter = Math.floor(memory.length / 4);
  const quarters = [0, 1, 2, 3].map((q) => mean(memory.slice(q * quarter, (q + 1) * quarter)));
  const sorted = [...latenciesMs].sort((a, b) => a - b);
  const expected = subscribers * (written + 1);
  console.log(
    `${written} events in ${minutes} min (${(written / minutes / 60).toFixed(1)}/s); ${received} of ${expected} messages came; ${faults} faults`,
  );
  console.log(`from commit to subscriber: median ${sorted[sorted.length >> 1]} ms, p95 ${sorted[Math.floor(0.95 * sorted.length)]} ms`);
  console.log(
    `resident memory of the API by quarters: ${quarters.map((q) => q.toFixed(0)).join(", ")} MiB; at most ${Math.max(...memory).toFixed(0)} MiB`,
  );
  const exited = once(api, "exit");
  api.kill("SIGTERM");
  await exited;
  await store.close();
  await postgres.stop();
  await rm(dataDirectory, { recursive: true });
  return faults === 0 && received === expected && (quarters[3] as number) < 1.1 * (quarters[1] as number);
}

const { values } = parseArgs({
  options: {
    subscribers: { type: "string", default: "1000" },
    rate: { type: "string", default: "20" },
    minutes: { type: "string", default: "5" },
    "as-client": { type: "string" },
    run: { type: "string" },
  },
});
const subscribers = Number(values.subscribers);
if (values["as-client"]) await subscribe(values["as-client"], values.run ?? "", subscribers);
else process.exitCode = (await bench(subscribers, Number(values.rate), Number(values.minutes))) ? 0 : 1;
