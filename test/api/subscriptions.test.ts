import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { createClient, type ExecutionResult } from "graphql-ws";
import { pino } from "pino";
import { WebSocket } from "ws";
import { startServer } from "../../src/api/server.ts";
import { recordPassing, recordPruned, recordStart } from "../../src/store/pruning-runs.ts";
import { recordFailure } from "../../src/store/run-progress.ts";
import { type ApiError, type TestApi, testApi } from "../support/api.ts";
import { claimPruningRun, inspected, newRun } from "../support/records.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
before(async () => {
  api = await testApi();
});
after(() => api.close());

interface Event {
  readonly __typename: string;
  readonly sequence: number;
  readonly [field: string]: unknown;
}

const query = `subscription($runId: ID!, $after: Int) { runProgress(runId: $runId, after: $after) {
  __typename runId sequence createdAt run { status }
  ... on PruningStarted { executionProvider parameterCount targetParameterCount candidates }
  ... on PruningScoring { iteration samplesDone samplesTotal }
  ... on PruningSucceeded { resultModel { name parameterCount } removedRatio }
  ... on RunFailed { error { code message } }
} }`;

async function* progress(runId: string, after = 0): AsyncGenerator<Event> {
  for await (const { data, errors } of api.socket().iterate<{ runProgress: Event }>({ query, variables: { runId, after } })) {
    assert.equal(errors, undefined);
    yield data?.runProgress as Event;
  }
}

async function takenUp() {
  const { store } = api.services;
  const { id: runId } = await newRun(store);
  const claim = await claimPruningRun(store, runId);
  assert.ok(claim);
  await recordStart(store, claim, { executionProvider: "CPU", parameterCount: 1000, targetParameterCount: 800, candidates: 2 });
  const scored = (samplesDone: number) => recordPassing(store, claim, "SCORING", { iteration: 0, samplesDone, samplesTotal: 100 });
  return { store, runId, claim, scored };
}

async function all(events: AsyncIterable<Event>): Promise<Event[]> {
  const list: Event[] = [];
  for await (const event of events) list.push(event);
  return list;
}

test("what has happened is told, then what happens, each event once, until the run is over", async () => {
  const { store, runId, claim, scored } = await takenUp();
  await scored(1);
  const events = progress(runId);
  const take = async () => (await events.next()).value as Event;
  const started = await take();
  assert.deepEqual(
    [started.__typename, started.sequence, started["runId"], started["executionProvider"], started["targetParameterCount"]],
    ["PruningStarted", 1, runId, "CPU", 800],
  );
  assert.deepEqual(started["run"], { status: "RUNNING" });
  const { sequence, samplesDone } = await take();
  assert.deepEqual([sequence, samplesDone], [2, 1]);
  const latencies: number[] = [];
  for (const i of [2, 3, 4, 5, 6]) {
    const begun = performance.now();
    await scored(i);
    assert.equal((await take()).sequence, i + 1);
    latencies.push(performance.now() - begun);
  }
  // A poll comes a second after the last news: without notifications all but the first take that long, on a busy machine and on an idle one.
  assert.ok((latencies.sort((a, b) => a - b)[1] as number) < 500, `told by the poll, not by the notification: ${latencies} ms`);
  await recordPruned(store, claim, inspected("result", 790), null, async () => {});
  const last = await take();
  assert.deepEqual(
    [last.__typename, last.sequence, last["resultModel"]],
    ["PruningSucceeded", 8, { name: "base-pip-21", parameterCount: 790 }],
  );
  assert.equal((await events.next()).done, true);
});

test("a client that comes back passes the last sequence it saw, and misses nothing", async () => {
  const { store, runId, scored } = await takenUp();
  const first = progress(runId);
  assert.equal(((await first.next()).value as Event).sequence, 1);
  await first.return(undefined);
  await scored(1);
  await scored(2);
  await recordFailure(store, runId, { code: "TARGET_UNREACHABLE", message: "nothing is left to remove" });
  const rest = await all(progress(runId, 1));
  assert.deepEqual(
    rest.map((event) => [event.__typename, event.sequence]),
    [
      ["PruningScoring", 2],
      ["PruningScoring", 3],
      ["RunFailed", 4],
    ],
  );
  assert.deepEqual(rest.at(-1)?.["error"], { code: "TARGET_UNREACHABLE", message: "nothing is left to remove" });
  assert.deepEqual(await all(progress(runId, 4)), []);
});

test("changes of the lists go on from a cursor that was asked for, or seen", async () => {
  const { changesCursor } = await api.data("{ changesCursor }");
  const { store, runId, scored } = await takenUp();
  const changes =
    "subscription($after: String) { changes(after: $after) { cursor runs { id status lastSequence } models { name } deletedIds } }";
  type Told = {
    changes: {
      cursor: string;
      runs: { id: string; status: string; lastSequence: number }[];
      models: { name: string }[];
      deletedIds: string[];
    };
  };
  async function* follow(after: string) {
    for await (const { data, errors } of api.socket().iterate<Told>({ query: changes, variables: { after } })) {
      assert.equal(errors, undefined);
      yield data?.changes as Told["changes"];
    }
  }
  let cursor = changesCursor as string;
  const models: string[] = [];
  for await (const told of follow(cursor)) {
    cursor = told.cursor;
    models.push(...told.models.map(({ name }) => name));
    if (told.runs.some(({ id, status }) => id === runId && status === "RUNNING")) break;
  }
  assert.deepEqual(models, ["base"]);
  await scored(1);
  await recordFailure(store, runId, { code: "X", message: "x" });
  await api.data("mutation($id: ID!) { deleteRun(input: { id: $id }) { deletedId } }", { id: runId });
  // It changed and went while nobody followed.
  for await (const told of follow(cursor)) {
    assert.deepEqual(
      told.runs.filter(({ id }) => id === runId),
      [],
    );
    if (told.deletedIds.includes(runId)) break;
  }
  const { value } = await api
    .socket()
    .iterate({ query: changes, variables: { after: "x" } })
    .next();
  const [error] = (value as { errors: ApiError[] }).errors;
  assert.deepEqual([error?.extensions["code"], error?.extensions["argument"]], ["BAD_CURSOR", "after"]);
});

test("cancelling a run ends its subscription with the event", async () => {
  const { runId } = await takenUp();
  const events = progress(runId);
  await events.next();
  const {
    cancelRun: { run: ended },
  } = await api.data("mutation($id: ID!) { cancelRun(input: { id: $id }) { run { status finishedAt } } }", { id: runId });
  assert.equal(ended.status, "CANCELLED");
  assert.ok(ended.finishedAt);
  assert.deepEqual(
    (await all(events)).map((event) => event.__typename),
    ["RunCancelled"],
  );
  const again = await api.ask("mutation($id: ID!) { cancelRun(input: { id: $id }) { run { status } } }", { id: runId });
  assert.equal(again.errors?.[0]?.extensions["code"], "RUN_NOT_CANCELLABLE");
});

test("a client that leaves while nothing happens leaves nothing behind", async () => {
  const { runId, store } = await takenUp();
  const watched = () => (store.listener as unknown as { watches: Map<string, Set<unknown>> }).watches.has(runId);
  const socket = new WebSocket(api.url.replace("http", "ws"), "graphql-transport-ws");
  await once(socket, "open");
  socket.send(JSON.stringify({ type: "connection_init" }));
  await once(socket, "message");
  socket.send(JSON.stringify({ id: "1", type: "subscribe", payload: { query, variables: { runId } } }));
  await once(socket, "message");
  assert.equal(watched(), true);
  socket.terminate();
  while (watched()) await new Promise(setImmediate);
});

test("a reader that stops reading for a while loses nothing", async () => {
  const { store, runId, scored } = await takenUp();
  // However long that while is on a busy machine.
  const server = await startServer(api.services, "127.0.0.1", 0, pino({ level: "silent" }), { stalledMs: 600_000 });
  try {
    const socket = new WebSocket(server.url.replace("http", "ws"), "graphql-transport-ws");
    await once(socket, "open");
    socket.send(JSON.stringify({ type: "connection_init" }));
    await once(socket, "message");
    // A document whose every answer is large, so that the kernel's buffers fill.
    const large = `subscription { runProgress(runId: "${runId}") { sequence ${Array.from({ length: 25 }, (_, i) => `${"x".repeat(400)}${i}: createdAt`).join(" ")} } }`;
    socket.send(JSON.stringify({ id: "1", type: "subscribe", payload: { query: large } }));
    await once(socket, "message");
    socket.pause();
    for (let i = 0; i < 400; i++) await scored(i);
    await recordFailure(store, runId, { code: "X", message: "x" });
    const sequences: number[] = [];
    socket.on("message", (data) => {
      const { type, payload } = JSON.parse(String(data)) as { type: string; payload: ExecutionResult<{ runProgress: Event }> };
      if (type === "next") sequences.push(payload.data?.runProgress.sequence as number);
      else socket.close();
    });
    socket.resume();
    await once(socket, "close");
    assert.deepEqual(
      sequences,
      Array.from({ length: 401 }, (_, i) => i + 2),
    );
  } finally {
    await server.stop();
  }
});

test("a reader that stops reading for good is cut off, at a bounded cost, and told the sequence to go on from", async () => {
  const { store, runId, scored } = await takenUp();
  const log: string[] = [];
  const server = await startServer(api.services, "127.0.0.1", 0, pino({ level: "warn" }, { write: (line) => void log.push(line) }), {
    stalledMs: 1500,
  });
  try {
    const socket = new WebSocket(server.url.replace("http", "ws"), "graphql-transport-ws");
    await once(socket, "open");
    socket.send(JSON.stringify({ type: "connection_init" }));
    await once(socket, "message");
    const fields = Array.from({ length: 25 }, (_, i) => `${"x".repeat(4000)}${i}: createdAt`).join(" ");
    socket.send(
      JSON.stringify({
        id: "1",
        type: "subscribe",
        payload: { query: `subscription { runProgress(runId: "${runId}") { sequence ${fields} } }` },
      }),
    );
    await once(socket, "message");
    socket.pause();
    for (let i = 0; i < 200; i++) await scored(i);
    await until("it is cut off", () => log.some((line) => line.includes("cut off")));
    const sequences: number[] = [];
    socket.on("message", (data) => {
      const { type, payload } = JSON.parse(String(data)) as { type: string; payload: ExecutionResult<{ runProgress: Event }> };
      if (type === "next") sequences.push(payload.data?.runProgress.sequence as number);
    });
    socket.resume();
    const [code, reason] = (await once(socket, "close")) as [number, Buffer];
    const last = sequences.at(-1) as number;
    assert.ok(last > 1 && last < 150, `20 MB were to be sent, of which ${last} of 201 messages were`);
    assert.deepEqual(
      sequences,
      Array.from({ length: last - 1 }, (_, i) => i + 2),
    );
    assert.deepEqual([code, JSON.parse(String(reason))], [1013, { code: "SUBSCRIBER_TOO_SLOW", after: { [runId]: last } }]);
    await recordFailure(store, runId, { code: "X", message: "x" });
    assert.deepEqual((await all(progress(runId, last)))[0]?.sequence, last + 1);
  } finally {
    await server.stop();
  }
});

test("a condition on what is subscribed to is refused, and what else the socket carries goes on", async () => {
  const { runId, scored } = await takenUp();
  const socket = api.socket();
  const beside = socket.iterate<{ runProgress: Event }>({ query, variables: { runId } });
  assert.equal((await beside.next()).value?.data?.runProgress.sequence, 1);
  const field = `runProgress(runId: "${runId}")`;
  const conditional = [
    [`subscription { ${field} @skip(if: true) { sequence } }`],
    [`subscription($if: Boolean!) { ${field} @include(if: $if) { sequence } }`, { if: false }],
    [`subscription($if: Boolean!) { ... @skip(if: $if) { ${field} { sequence } } }`, { if: true }],
    [
      "subscription($if: Boolean!) { ...F @skip(if: $if) } fragment F on Subscription { generate(input: null) { __typename } }",
      { if: true },
    ],
    [`subscription($if: Boolean!) { ...F } fragment F on Subscription { ${field} @skip(if: $if) { sequence } }`, { if: true }],
  ] as const;
  for (const [conditioned, variables] of conditional) {
    const errors = await new Promise<readonly ApiError[]>((resolve, reject) => {
      const sink = { next: reject, error: (e: unknown) => (Array.isArray(e) ? resolve(e) : reject(e)), complete: () => {} };
      socket.subscribe({ query: conditioned, variables: { ...variables } }, sink);
    });
    assert.equal(errors[0]?.extensions["code"], "GRAPHQL_VALIDATION_FAILED", conditioned);
    assert.match(errors[0]?.message ?? "", /@(skip|include)/);
  }
  await scored(1);
  assert.equal((await beside.next()).value?.data?.runProgress.sequence, 2);
  await beside.return?.(undefined);
  // Within an event conditions are as everywhere.
  const [first] = await all(
    (async function* () {
      for await (const { data } of socket.iterate<{ runProgress: Event }>({
        query: `subscription($if: Boolean!) { ${field} { sequence createdAt @include(if: $if) } }`,
        variables: { if: false },
      })) {
        yield data?.runProgress as Event;
        return;
      }
    })(),
  );
  assert.deepEqual(first, { sequence: 1 });
});

test("stopping the server tells subscribers to connect again", async () => {
  const own = await testApi();
  const { id: runId } = await newRun(own.services.store);
  const client = createClient({ url: own.url.replace("http", "ws"), webSocketImpl: WebSocket, retryAttempts: 0 });
  const connected = new Promise((resolve) => client.on("connected", resolve));
  const closed = new Promise<unknown>((resolve) => client.on("closed", resolve));
  client.subscribe({ query, variables: { runId } }, { next: () => {}, error: () => {}, complete: () => {} });
  await connected;
  await own.close();
  // 1001 is "going away", which graphql-ws clients take as a reason to try again.
  assert.equal(((await closed) as { code: number }).code, 1001);
});
