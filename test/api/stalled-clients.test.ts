import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { pino } from "pino";
import { StalledClients } from "../../src/api/stalled-clients.ts";
import { until } from "../support/wait.ts";

test("answers that wait for others on a connection are forgotten with it, whether or not their turn came", async () => {
  const stalled = new StalledClients(60_000, pino({ level: "silent" }));
  const { watched } = stalled as unknown as { watched: Map<unknown, unknown> };
  const server = createServer(({ socket }, response) => {
    stalled.watch(response, { stream: socket, waiting: () => response.writableLength, cut: () => response.destroy() });
    response.end("x".repeat(1_000_000));
  });
  try {
    await once(server.listen(0, "127.0.0.1"), "listening");
    const client = connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
    client.on("error", () => {});
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(20));
    await until("several wait", () => watched.size > 1);
    client.destroy();
    await until("none is watched any more", () => watched.size === 0);
    const closed = { destroyed: true } as never;
    stalled.watch(server, { stream: closed, waiting: () => 0, cut: () => {} });
    assert.equal(watched.size, 0, "one whose connection has closed by then is not watched at all");
  } finally {
    stalled.close();
    server.close();
  }
});
