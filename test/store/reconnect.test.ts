import assert from "node:assert/strict";
import { test } from "node:test";
import { EspalierError } from "../../src/errors.ts";
import { isConnectionLoss, throughReconnects } from "../../src/store/reconnect.ts";

const lost = (code: string) => Object.assign(new Error("lost"), { code });

test("what says that the database was out of reach, wherever it says so, and what does not", () => {
  const losses = [
    lost("08006"),
    lost("57P01"),
    lost("ECONNRESET"),
    lost("P1001"),
    new Error("Connection terminated unexpectedly"),
    new Error("the query failed", { cause: lost("EPIPE") }),
    Object.assign(new Error("raw query failed"), { meta: { driverAdapterError: new Error("x", { cause: lost("08003") }) } }),
  ];
  for (const error of losses) assert.ok(isConnectionLoss(error), String(error));
  const others = [lost("23505"), lost("57014"), lost("x08006"), new Error("no such column"), null, undefined, "ECONNRESET"];
  for (const error of others) assert.ok(!isConnectionLoss(error), String(error));
  assert.ok(!isConnectionLoss(new EspalierError("RUN_LOST", "connection terminated", {})), "what we say ourselves is no loss");
});

test("work is done again while the database is out of reach, and what fails otherwise fails at once", async () => {
  const { signal } = new AbortController();
  const outcomes = [lost("ECONNREFUSED"), lost("57P03"), "done"];
  assert.equal(
    await throughReconnects(signal, async () => {
      const next = outcomes.shift();
      if (typeof next === "string") return next;
      throw next;
    }),
    "done",
  );
  let tries = 0;
  const broken = throughReconnects(signal, async () => {
    if (++tries === 1) throw lost("23505");
  });
  await assert.rejects(broken, { code: "23505" });
  assert.equal(tries, 1);
});

test("who leaves while the database is out of reach waits no longer, and is told why", async () => {
  const leave = new AbortController();
  let tries = 0;
  const waiting = throughReconnects(leave.signal, async () => {
    if (++tries === 2) leave.abort();
    throw lost("ECONNREFUSED");
  });
  await assert.rejects(waiting, { code: "ECONNREFUSED" });
  assert.equal(tries, 2);
});
