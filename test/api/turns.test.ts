import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { Turns } from "../../src/api/turns.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false });
});
after(() => api.close());

/** A connection that asks in one piece for all of these, and counts its answers. */
async function pipeline(queries: readonly string[]): Promise<{ readonly client: Socket; answers: number }> {
  const client = connect(Number(new URL(api.url).port), "127.0.0.1");
  const seen = { client, answers: 0 };
  client.on("error", () => {}).on("data", (data) => (seen.answers += data.toString("latin1").split("HTTP/1.1 200").length - 1));
  await once(client, "connect");
  const requests = queries.map((query) => {
    const body = JSON.stringify({ query });
    return `POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  });
  client.write(requests.join(""));
  return seen;
}

test("connections have turns in a circle, one work each, and one alone has all of them in order", async () => {
  const turns = new Turns();
  const [a, b] = [{}, {}];
  const begun: string[] = [];
  const works = ["a1", "a2", "a3", "b1", "b2"].map((name) => turns.next(name.startsWith("a") ? a : b).then(() => begun.push(name)));
  await Promise.all(works);
  assert.deepEqual(begun, ["a1", "b1", "a2", "b2", "a3"]);
  await turns.next(a);
});

/** Each takes longer to validate than another connection to be heard, and gives little: what waits to be sent keeps requests from being read. */
const long = Array<string>(20).fill(`{ ${"pruningMethods { name } ".repeat(100)} }`);

test("what a client that has gone asked for is not begun", async () => {
  const register = 'mutation { registerDataset(input: { name: "of one that has gone", source: { texts: ["a"] } }) { dataset { id } } }';
  const seen = await pipeline([...long, ...Array(20).fill(register)]);
  await until("the first is answered", () => seen.answers > 0);
  seen.client.destroy();
  // The others have a turn in each of these.
  for (let i = 0; i < 50; i++) await api.data("{ __typename }");
  const { datasets } = await api.data("{ datasets(first: 100) { nodes { name } } }");
  assert.ok(!datasets.nodes.some(({ name }: { name: string }) => name === "of one that has gone"));
});
