import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, before, test } from "node:test";
import { Client, fetchExchange } from "@urql/core";
import { cancelRun } from "../../src/store/runs.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { newRun } from "../support/records.ts";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false });
});
after(() => api.close());

test("urql, as it comes, sends queries by GET and mutations by POST, and subscribes", async () => {
  const methods: string[] = [];
  const watching: typeof fetch = (input, init) => {
    methods.push(init?.method ?? "");
    return fetch(input, init);
  };
  const client = new Client({ url: api.url, exchanges: [fetchExchange], fetch: watching, fetchSubscriptions: true });
  const query = await client.query("query($first: Int!) { models(first: $first) { nodes { id } } }", { first: 3 }).toPromise();
  assert.deepEqual([query.error, query.data], [undefined, { models: { nodes: [] } }]);
  const mutation = await client.mutation('mutation { deleteModel(input: { id: "x" }) { deletedId } }', {}).toPromise();
  assert.equal(mutation.error?.graphQLErrors[0]?.extensions["code"], "MODEL_NOT_FOUND");
  const { id: runId } = await newRun(api.services.store);
  await cancelRun(api.services.store, runId);
  const subscription = await client
    .subscription("subscription($runId: ID!) { runProgress(runId: $runId) { sequence } }", { runId })
    .toPromise();
  assert.deepEqual([subscription.error, subscription.data], [undefined, { runProgress: { sequence: 1 } }]);
  assert.deepEqual(methods, ["GET", "POST", "POST"]);
});

interface Sent {
  readonly method: string;
  readonly operation: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Status, and code of the error if there is one; `fetch` lets nobody set the headers that browsers set. */
function send({ method, operation, headers }: Sent): Promise<readonly [number, string | undefined]> {
  const url = method === "GET" ? `${api.url}?query=${encodeURIComponent(operation)}` : api.url;
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers }, (response) => {
      let text = "";
      response.on("data", (data: Buffer) => (text += data.toString()));
      response.on("end", () => {
        const code = /"code":"(\w+)"/.exec(text)?.[1];
        resolve([response.statusCode ?? 0, code]);
      });
    });
    request.on("error", reject);
    request.end(method === "GET" ? undefined : JSON.stringify({ query: operation }));
  });
}

const query = "{ pruningMethods { name } }";
const mutation = 'mutation { deleteModel(input: { id: "x" }) { deletedId } }';
const computing = 'query { embed(input: { modelId: "x", texts: ["a"] }) }';
const subscription = 'subscription { runProgress(runId: "x") { sequence } }';
const json = { accept: "application/json" };
const events = { accept: "text/event-stream" };
const site = (name: string) => ({ "sec-fetch-site": name });

/** What a page of another site can make a browser send, and what our own pages and programs send. */
const requests: readonly (readonly [what: string, Sent, status: number, code: string | undefined])[] = [
  ["a program's query by GET", { method: "GET", operation: query, headers: json }, 200, undefined],
  ["our own page's", { method: "GET", operation: query, headers: { ...json, ...site("same-origin") } }, 200, undefined],
  ["a page of another site", { method: "GET", operation: query, headers: { ...json, ...site("cross-site") } }, 403, "CROSS_SITE_REQUEST"],
  ["a page of the same site", { method: "GET", operation: query, headers: { ...json, ...site("same-site") } }, 403, "CROSS_SITE_REQUEST"],
  [
    "one that asked before",
    { method: "GET", operation: query, headers: { ...json, ...site("cross-site"), "apollo-require-preflight": "1" } },
    200,
    undefined,
  ],
  [
    "one that says its origin",
    { method: "GET", operation: query, headers: { ...json, ...site("cross-site"), origin: "https://elsewhere.example" } },
    403,
    "ORIGIN_NOT_ALLOWED",
  ],
  ["a mutation by GET", { method: "GET", operation: mutation, headers: json }, 405, "METHOD_NOT_ALLOWED"],
  [
    "a mutation by GET, asked before",
    { method: "GET", operation: mutation, headers: { ...json, "apollo-require-preflight": "1" } },
    405,
    "METHOD_NOT_ALLOWED",
  ],
  ["a mutation by GET, as events", { method: "GET", operation: mutation, headers: events }, 405, "METHOD_NOT_ALLOWED"],
  [
    "one of two operations, by GET",
    { method: "GET", operation: `query A ${query} mutation B { deleteModel(input: { id: "x" }) { deletedId } }`, headers: json },
    400,
    "OPERATION_RESOLUTION_FAILURE",
  ],
  ["a query that computes, by GET, from anywhere", { method: "GET", operation: computing, headers: json }, 200, "CROSS_SITE_REQUEST"],
  [
    "a query that computes, by GET, of our own page",
    { method: "GET", operation: computing, headers: { ...json, ...site("same-origin") } },
    200,
    "MODEL_NOT_FOUND",
  ],
  [
    "a query that computes, by POST",
    { method: "POST", operation: computing, headers: { "content-type": "application/json" } },
    200,
    "MODEL_NOT_FOUND",
  ],
  ["a subscription by GET, from anywhere", { method: "GET", operation: subscription, headers: events }, 403, "CROSS_SITE_REQUEST"],
  [
    "a subscription by GET, of our own page",
    { method: "GET", operation: subscription, headers: { ...events, ...site("same-origin") } },
    200,
    "RUN_NOT_FOUND",
  ],
  [
    "a form",
    { method: "POST", operation: mutation, headers: { "content-type": "application/x-www-form-urlencoded" } },
    415,
    "UNSUPPORTED_MEDIA_TYPE",
  ],
  ["plain text", { method: "POST", operation: mutation, headers: { "content-type": "text/plain" } }, 415, "UNSUPPORTED_MEDIA_TYPE"],
  ["no type", { method: "POST", operation: mutation, headers: {} }, 415, "UNSUPPORTED_MEDIA_TYPE"],
  ["JSON", { method: "POST", operation: mutation, headers: { "content-type": "application/json" } }, 200, "MODEL_NOT_FOUND"],
];

for (const [what, sent, status, code] of requests)
  test(`what another site may have forged is not run: ${what}`, async () => assert.deepEqual(await send(sent), [status, code]));
