import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { getIntrospectionQuery } from "graphql";
import { freeze } from "../../../test/support/frozen-postgres.ts";
import { catastrophe } from "../../../test/support/hostile-model.ts";
import type { Outcome, Target } from "./target.ts";

/** How much of it there is. */
export interface Scale {
  /** Connections and sockets at once. */
  readonly connections: number;
  /** Requests at once of those that cost something. */
  readonly requests: number;
  /** Times that what is refused is asked again. */
  readonly repeats: number;
}

export const scales = {
  short: { connections: 200, requests: 24, repeats: 1 },
  long: { connections: 2000, requests: 60, repeats: 5 },
} as const satisfies Record<string, Scale>;

/** What is known of the target before attacks begin. */
export interface Known {
  readonly ahab: string;
  readonly hostile: string;
}

type Attack = (target: Target, scale: Scale, known: Known) => Promise<void>;

const fields = (count: number, of: (i: number) => string): string => Array.from({ length: count }, (_, i) => of(i)).join(" ");
const text = (length: number): string => "x".repeat(length);
const fourMegabytes = 4_000_000;

const refusedWith =
  (...codes: readonly string[]) =>
  (outcome: Outcome): void => {
    assert.ok(codes.includes(String(outcome.code)), `${outcome.code} (${outcome.status}), not ${codes.join(" or ")}`);
  };

/** Asks in both ways, again and again, and holds the answers to what they must be. */
const both =
  (query: string, variables: string, check: (outcome: Outcome) => void): Attack =>
  async (target, { repeats }) => {
    for (let i = 0; i < repeats; i++) {
      check(await target.post(`{"query":${JSON.stringify(query)},"variables":${variables}}`));
      check(await target.askSocket(query, variables));
    }
  };

const generate = "mutation($i: GenerateInput!) { generate(input: $i) { text } }";
const compare = "query($i: [ID!]) { comparison(modelId: 1, runIds: $i) { rows { model { id } } } }";
const invalid = refusedWith("BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED");
const tooLarge = refusedWith("REQUEST_TOO_LARGE");
const notParsed = refusedWith("GRAPHQL_PARSE_FAILED");

/** Documents. */
const documents: Record<string, Attack> = {
  "aliases in fragments": both(
    `{ ${fields(8, (i) => `...f${i}`)} } ${fields(8, (i) => `fragment f${i} on Query { ${fields(8, (j) => `a${i}x${j}: pruningMethods { name }`)} }`)}`,
    "{}",
    tooLarge,
  ),
  "fragments of fragments": both(
    `{ ...f0 } ${fields(100, (i) => `fragment f${i} on Query { ...f${i + 1} ...f${i + 1} }`)} fragment f100 on Query { __typename }`,
    "{}",
    tooLarge,
  ),
  "fragments in a circle": both(
    `{ ...f0 } ${fields(200, (i) => `fragment f${i} on Query { ...f${(i + 1) % 200} }`)}`,
    "{}",
    refusedWith("GRAPHQL_VALIDATION_FAILED", "REQUEST_TOO_LARGE"),
  ),
  "a deep document": both(`{ models { nodes ${"{ parent ".repeat(300)} { id } ${"}".repeat(300)} } }`, "{}", tooLarge),
  "the same fields again and again": both(`{ ${"models{nodes{id}}".repeat(220)} }`, "{}", () => {}),
  "fields that conflict": both(`{ ${fields(120, (i) => `model(id:"${i}"){id name}`)} }`, "{}", invalid),
  "introspection within introspection": both(
    `{ __schema { types ${"{ fields { type ".repeat(6)} { name } ${"} }".repeat(6)} } }`,
    "{}",
    refusedWith("GRAPHQL_VALIDATION_FAILED", "REQUEST_TOO_LARGE"),
  ),
  "a large answer": both("{ models(first: 100) { nodes { children(first: 100) { nodes { id name digest } } } } }", "{}", tooLarge),
  "a large answer through fragments": both(
    `{ ${"...f0 ".repeat(200)} } ${fields(60, (i) => `fragment f${i} on Query { ...f${i + 1} }`)} fragment f60 on Query { models(first: 100) { nodes { children(first: 100) { nodes { id name digest } } } } }`,
    "{}",
    tooLarge,
  ),
  "a document of 4 MB of escapes": both(`{ model(id: "${"\\n".repeat(1_000_000)}") { id } }`, "{}", tooLarge),
  "a document of 4 MB of commas": both(`{ ${",".repeat(fourMegabytes)} __typename }`, "{}", tooLarge),
  "too many tokens": both(`{ ${"__typename ".repeat(10_000)} }`, "{}", notParsed),
  "long names of what is unknown": both(`{ ${fields(30, (i) => `${text(4000)}${i}`)} }`, "{}", invalid),
  "many unknown fields": both(`{ ${fields(1900, (i) => `f${i}`)} }`, "{}", invalid),
  "directives by the hundred": both(`{ __typename ${"@skip(if: true) ".repeat(250)} }`, "{}", invalid),
};

/** Variables. */
const variables: Record<string, Attack> = {
  "unknown fields beside a prompt of 4 MB": both(
    generate,
    JSON.stringify({
      i: { prompt: { text: text(fourMegabytes) }, ...Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`f${i}`, 0])) },
    }),
    invalid,
  ),
  "150,000 nulls": both(compare, JSON.stringify({ i: Array(150_000).fill(null) }), invalid),
  "300,000 nulls": both(compare, JSON.stringify({ i: Array(300_000).fill(null) }), tooLarge),
  "190,000 numbers": both(compare, JSON.stringify({ i: Array(190_000).fill(1) }), invalid),
  "a million numbers": both(compare, `{"i":[${"1,".repeat(1_000_000)}1]}`, tooLarge),
  "300,000 fields": both(generate, `{"i":{${fields(300_000, (i) => `"f${i}":0`).replaceAll(" ", ",")}}}`, tooLarge),
  "lists a million deep": both(
    compare,
    `{"i":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`,
    refusedWith("BAD_USER_INPUT", "REQUEST_TOO_LARGE"),
  ),
  "objects deep": both(
    generate,
    `{"i":${'{"a":'.repeat(500_000)}1${"}".repeat(500_000)}}`,
    refusedWith("BAD_USER_INPUT", "REQUEST_TOO_LARGE"),
  ),
  "a cursor of 4 MB": both(
    "query($i: String) { models(after: $i) { nodes { id } } }",
    JSON.stringify({ i: text(fourMegabytes) }),
    refusedWith("BAD_CURSOR"),
  ),
  "a name of an enum value of 4 MB": both(
    generate,
    JSON.stringify({ i: { modelId: "1", executionProvider: text(fourMegabytes) } }),
    invalid,
  ),
};

/** HTTP itself. */
const http: Record<string, Attack> = {
  "a body beyond the limit": async (target) => {
    // The server may hang up while the rest is on its way.
    const outcome = await target.post(text(5_000_000)).catch(() => null);
    assert.equal(outcome?.status ?? 413, 413);
  },
  "bodies that are no JSON": async (target) => {
    for (const body of ["{", "[]", "null", '"a"', "[".repeat(2_000_000), '{"query":{}}', '{"__proto__":{"a":1}}'])
      assert.ok((await target.post(body)).status >= 400);
  },
  "large headers": async (target) => {
    const socket = await target.connection();
    socket.write(`GET /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\nx-a: ${text(200_000)}\r\n\r\n`);
    const [answer] = await once(socket, "data");
    assert.match(String(answer), /^HTTP\/1.1 431 /);
  },
  "connections that say nothing": async (target, { connections }) => {
    for (let i = 0; i < connections; i++) await target.connection();
    assert.equal((await target.ask("{ __typename }")).status, 200);
    await target.hangUp();
  },
  "bodies that trickle": async (target, { connections }) => {
    const head = "POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n{";
    const open = await Promise.all(Array.from({ length: connections / 2 }, () => target.connection()));
    for (const socket of open) socket.write(head);
    for (let i = 0; i < 10; i++) {
      for (const socket of open) socket.write(" ");
      await delay(100);
    }
    assert.equal((await target.ask("{ __typename }")).status, 200);
    await target.hangUp();
  },
  "answers that nobody reads": async (target, { connections }) => {
    const body = JSON.stringify({ query: getIntrospectionQuery() });
    const request = `POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const open = await Promise.all(Array.from({ length: connections / 20 }, () => target.connection()));
    for (const socket of open) socket.pause().write(request.repeat(20));
    assert.equal((await target.ask("{ __typename }")).status, 200);
    await delay(500);
    await target.hangUp();
  },
  "clients that leave at once": async (target, { connections }) => {
    const leave = async () => {
      const leaving = new AbortController();
      const asked = target.ask("{ models { nodes { id } } }", {}, leaving.signal).catch(() => null);
      await delay(1);
      leaving.abort();
      await asked;
    };
    for (let i = 0; i < connections / 20; i++) await Promise.all(Array.from({ length: 10 }, leave));
  },
};

/** WebSockets. */
const sockets: Record<string, Attack> = {
  "sockets by the thousand, each with a question": async (target, { connections }) => {
    const open = [];
    for (let i = 0; i < connections; i += 50) open.push(...(await Promise.all(Array.from({ length: 50 }, () => target.socket()))));
    const answers = open.map((socket) => once(socket, "message"));
    for (const socket of open) socket.send('{"id":"1","type":"subscribe","payload":{"query":"{ __typename }"}}');
    assert.equal((await Promise.all(answers)).length, connections);
    await target.hangUp();
  },
  "sockets that never introduce themselves": async (target, { connections }) => {
    for (let i = 0; i < connections / 4; i++) await target.socket(false);
    assert.equal((await target.ask("{ __typename }")).status, 200);
    await target.hangUp();
  },
  "pings of 3 MB, answers untaken": async (target) => {
    const socket = await target.socket();
    (socket as unknown as { _socket: { pause(): void } })._socket.pause();
    const ping = JSON.stringify({ type: "ping", payload: { x: text(3_000_000) } });
    for (let i = 0; i < 30; i++) socket.send(ping);
    await delay(1000);
    await target.hangUp();
  },
  "long ids and parameters": async (target, { repeats }) => {
    for (let i = 0; i < repeats; i++) {
      const socket = await target.socket();
      socket.send(JSON.stringify({ type: "subscribe", id: text(fourMegabytes), payload: { query: "{ __typename }" } }));
      assert.equal((await once(socket, "close"))[0], 4400);
      const other = await target.socket(false);
      other.send(JSON.stringify({ type: "connection_init", payload: { x: text(fourMegabytes) } }));
      assert.equal((await once(other, "close"))[0], 4403);
    }
  },
  "what is no message": async (target) => {
    for (const data of ["", "{", "[]", '{"type":"x"}', text(5_000_000), Buffer.from([0xff, 0xfe])]) {
      const socket = await target.socket(false);
      socket.send(data);
      await once(socket, "close");
    }
  },
  "more operations than a socket carries": async (target) => {
    const socket = await target.socket();
    const query = "subscription { runProgress(runId: 1) { sequence } }";
    let answers = 0;
    socket.on("message", () => answers++);
    for (let i = 0; i < 2000; i++) socket.send(JSON.stringify({ type: "subscribe", id: String(i), payload: { query } }));
    while (answers < 2000) await delay(20);
  },
};

/** What makes the server compute. */
const work: Record<string, Attack> = {
  "models registered by the dozen, clients leaving": async (target, { requests }) => {
    const leaving = new AbortController();
    const register = 'mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }';
    const asked = Array.from({ length: requests }, (_, i) =>
      target.ask(register, {}, i % 2 ? leaving.signal : undefined).catch(() => null),
    );
    await delay(500);
    leaving.abort();
    const outcomes = (await Promise.all(asked)).filter((outcome) => outcome !== null);
    assert.ok(outcomes.some(({ code }) => code === null));
    for (const { code } of outcomes) assert.ok(code === null || code === "OVERLOADED", String(code));
  },
  "texts by the dozen": async (target, { requests }, { ahab }) => {
    const input = { modelId: ahab, prompt: { text: "The whale" }, maxTokens: 200 };
    const outcomes = await Promise.all(Array.from({ length: requests }, () => target.ask(generate, { i: input })));
    for (const { code } of outcomes) assert.ok(code === null || code === "OVERLOADED", String(code));
  },
  "prompts of 100,000 characters": async (target, { repeats }, { ahab }) => {
    for (let i = 0; i < repeats; i++)
      refusedWith("PROMPT_TOO_LONG")(await target.ask(generate, { i: { modelId: ahab, prompt: { text: "The whale. ".repeat(9000) } } }));
  },
  "100,000 texts as a dataset": async (target, { repeats }) => {
    const register = 'mutation($t: [String!]!) { registerDataset(input: { name: "many", source: { texts: $t } }) { dataset { id } } }';
    for (let i = 0; i < repeats; i++) {
      const texts = Array.from({ length: 100_000 }, (_, j) => `text ${i} ${j}`);
      refusedWith("null", "DATASET_NAME_TAKEN")(await target.ask(register, { t: texts }));
    }
  },
  "a file of 60 MB as a dataset": async (target) => {
    const record = JSON.stringify({ text: text(600) });
    await writeFile(join(target.datasetRoot, "large.jsonl"), `${record}\n`.repeat(95_000));
    const register = 'mutation { registerDataset(input: { name: "large", source: { path: "large.jsonl" } }) { dataset { id } } }';
    refusedWith("null", "DATASET_NAME_TAKEN", "INVALID_DATASET")(await target.ask(register));
  },
  "a tokenizer that does not end": async (target, _scale, { hostile, ahab }) => {
    refusedWith("COMPUTE_STALLED")(await target.ask(generate, { i: { modelId: hostile, prompt: { text: catastrophe } } }));
    for (const modelId of [hostile, ahab])
      assert.equal((await target.ask(generate, { i: { modelId, prompt: { text: "The whale" }, maxTokens: 2 } })).code, null);
  },
  "a chat template that does not end": async (target, _scale, { hostile }) => {
    const messages = [{ role: "user", content: "The whale" }];
    refusedWith("INVALID_CHAT_TEMPLATE")(await target.ask(generate, { i: { modelId: hostile, messages } }));
  },
};

/** What the server stands on. */
const ground: Record<string, Attack> = {
  "a database that hangs": async (target, { requests }) => {
    const thaw = await freeze(target);
    try {
      assert.equal((await fetch(`${target.url}/readyz`)).status, 503);
      const asked = Array.from({ length: requests }, () => target.ask("{ models { nodes { id } } }"));
      for (const outcome of await Promise.all(asked)) refusedWith("DATABASE_UNAVAILABLE")(outcome);
    } finally {
      thaw();
    }
    while (!(await fetch(`${target.url}/readyz`)).ok) await delay(50);
    assert.equal((await target.ask("{ models { nodes { id } } }")).code, null);
  },
};

/** By name. Those that only wait for a time limit of tens of seconds are left out of the short form: each has a test of its own. */
export const attacks: Record<keyof typeof scales, Record<string, Attack>> = {
  short: { ...documents, ...variables, ...http, ...sockets, ...work },
  long: { ...documents, ...variables, ...http, ...sockets, ...work, ...ground },
};
for (const name of [
  "a tokenizer that does not end",
  "a chat template that does not end",
  "models registered by the dozen, clients leaving",
])
  delete attacks.short[name];
