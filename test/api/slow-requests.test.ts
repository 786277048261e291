import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { type TestApi, testApi } from "../support/api.ts";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false, server: { headersMs: 500, requestMs: 1000 } });
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
