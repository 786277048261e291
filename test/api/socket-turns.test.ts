import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { WebSocket } from "ws";
import { BoundedSocket } from "../../src/api/bounded-socket.ts";
import { testApi } from "../support/api.ts";
import { until } from "../support/wait.ts";

test("messages that come in one piece are taken one a turn, so that others are heard between them", async () => {
  const api = await testApi({ worker: false });
  const { emit } = BoundedSocket.prototype;
  let [taken, inThisTurn, mostInATurn] = [0, 0, 0];
  BoundedSocket.prototype.emit = function (this: BoundedSocket, event: string | symbol, ...args: unknown[]) {
    if (event === "message") {
      taken++;
      mostInATurn = Math.max(mostInATurn, ++inThisTurn);
      setImmediate(() => {
        inThisTurn = 0;
      });
    }
    return emit.call(this, event, ...args);
  };
  try {
    const client = new WebSocket(api.url.replace("http", "ws"), "graphql-transport-ws");
    await once(client, "open");
    client.send('{"type":"connection_init"}');
    await once(client, "message");
    let answers = 0;
    client.on("message", () => answers++);
    const { _socket: stream } = client as unknown as { readonly _socket: Socket };
    stream.cork();
    for (let i = 0; i < 200; i++) client.send('{"type":"ping"}');
    stream.uncork();
    await until("all are answered", () => answers === 200);
    assert.equal(taken, 201);
    assert.equal(mostInATurn, 1);
    client.terminate();
  } finally {
    BoundedSocket.prototype.emit = emit;
    await api.close();
  }
});
