import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { getIntrospectionQuery } from "graphql";
import { pino } from "pino";
import { startServer } from "../../src/api/server.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false, server: { headersMs: 500, requestMs: 1000, stalledMs: 500 } });
});
after(() => api.close());

const json = "host: 127.0.0.1\r\ncontent-type: application/json\r\n";
const upgrade = "host: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";
const timedOut = /^HTTP\/1\.1 408 /;

/** What comes first, what then trickles, and what the answer must be. */
const trickles: Record<string, readonly [begin: string, more: string, answer: RegExp]> = {
  nothing: ["", "", timedOut],
  headers: [`POST /graphql HTTP/1.1\r\n${json}x-a: `, "a", timedOut],
  "a body": [`POST /graphql HTTP/1.1\r\n${json}content-length: 1000000\r\n\r\n{`, " ", timedOut],
  "a body in chunks": [`POST /graphql HTTP/1.1\r\n${json}transfer-encoding: chunked\r\n\r\n`, "1\r\n \r\n", timedOut],
  "half of a request for a socket": [`GET /graphql HTTP/1.1\r\n${upgrade}x-a: `, "a", timedOut],
  "a body that nobody reads": ["GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000000\r\n\r\n", "a", /408 Request Timeout/],
};

for (const [name, [begin, more, answer]] of Object.entries(trickles))
  test(`a connection on which ${name} trickles is ended`, { timeout: 20_000 }, async () => {
    const socket = connect(Number(new URL(api.url).port), "127.0.0.1");
    socket.on("error", () => {});
    let got = "";
    socket.on("data", (data) => (got += data));
    await once(socket, "connect");
    socket.write(begin);
    const trickle = setInterval(() => socket.write(more), 100);
    await once(socket, "close");
    clearInterval(trickle);
    assert.match(got, answer);
  });

// On a server of its own, whose patience with requests is long: what is left of the last one would be ended for that.
test("a client that does not read its answers is cut off", async () => {
  const log: string[] = [];
  const logger = pino({ level: "warn" }, { write: (line) => void log.push(line) });
  const server = await startServer(api.services, "127.0.0.1", 0, logger, { stalledMs: 500 });
  try {
    const body = JSON.stringify({ query: getIntrospectionQuery() });
    const request = `POST /graphql HTTP/1.1\r\n${json}content-length: ${body.length}\r\n\r\n${body}`;
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    socket.on("error", () => {});
    await once(socket, "connect");
    // More than lies between the two.
    socket.pause().write(request.repeat(200));
    await until("it is cut off", () => log.some((line) => line.includes("stopped to read")));
    let answers = 0;
    socket.on("data", (data) => (answers += String(data).split("HTTP/1.1 200").length - 1)).resume();
    await once(socket, "close");
    assert.ok(answers < 200, `${answers} answers`);
  } finally {
    await server.stop();
  }
});
