import assert from "node:assert/strict";
import { test } from "node:test";
import { Channel } from "../src/channel.ts";
import { Condition } from "../src/condition.ts";

async function takenFrom<Item>(channel: Channel<Item>): Promise<{ items: Item[]; error: unknown }> {
  const items: Item[] = [];
  try {
    for await (const item of channel.taken()) items.push(item);
    return { items, error: null };
  } catch (error) {
    return { items, error };
  }
}

test("a channel gives what was pushed before and while it is read, then ends", async () => {
  const channel = new Channel<number | undefined>();
  channel.push(1);
  const taken = takenFrom(channel);
  await Promise.resolve();
  channel.push(undefined);
  channel.push(3);
  channel.end();
  channel.fail(new Error("too late"));
  assert.deepEqual(await taken, { items: [1, undefined, 3], error: null });
});

test("a failure is told after what came before it, or in place of that", async () => {
  for (const now of [false, true]) {
    const channel = new Channel<number>();
    const error = new Error("no more");
    channel.push(1);
    channel.fail(error, now);
    channel.end();
    assert.deepEqual(await takenFrom(channel), { items: now ? [] : [1], error });
  }
});

test("a condition wakes all who wait then, and nobody who waits later", async () => {
  const condition = new Condition();
  const woken: string[] = [];
  const again = condition.wait().then(() => {
    woken.push("first");
    return condition.wait();
  });
  const second = condition.wait().then(() => woken.push("second"));
  assert.equal(condition.waiters, 2);
  condition.notifyAll();
  await second;
  assert.deepEqual(woken, ["first", "second"]);
  assert.equal(condition.waiters, 1);
  condition.notifyAll();
  await again;
  assert.equal(condition.waiters, 0);
});

test("who waits leaves at an abort or when time is up, and is counted no more", async () => {
  const condition = new Condition();
  const leaving = new AbortController();
  const waiting = condition.wait(leaving.signal);
  leaving.abort();
  await waiting;
  await condition.wait(leaving.signal);
  await condition.wait(undefined, 1);
  assert.equal(condition.waiters, 0);
});
