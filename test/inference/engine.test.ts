import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ServedModel } from "../../src/inference/generate.ts";
import { testModels } from "../support/models.ts";
import { soak } from "../support/soak.ts";
import { until } from "../support/wait.ts";
import { greedy, openWriter, written } from "../support/writer.ts";

const ahab = (testModels[0] as (typeof testModels)[0]).folder;
const forever = { ...greedy, temperature: 1, maxTokens: 400, logitBias: [{ tokenId: 0, bias: -100 }] };

async function withWriter(
  work: (writer: ServedModel) => Promise<void>,
  ...options: Parameters<typeof openWriter> extends [string, ...infer Rest] ? Rest : never
) {
  const writer = await openWriter(ahab, ...options);
  try {
    await work(writer);
    assert.deepEqual(writer.engine.load, { active: 0, waiting: 0 }, "nothing is left behind");
  } finally {
    await writer.engine.close();
  }
}

describe("engine", () => {
  it("gives the same text for the same seed, alone or among others", () =>
    withWriter(async (writer) => {
      const requests = Array.from({ length: 20 }, (_, seed) => ({
        ...forever,
        seed,
        maxTokens: 5 + 7 * (seed % 9),
        prompt: "The whale ".repeat(1 + (seed % 5) * 12),
      }));
      const together = await Promise.all(requests.map((request) => written(writer, request)));
      for (const [i, request] of requests.entries())
        assert.deepEqual((await written(writer, request)).tokenIds, together[i]?.tokenIds, `seed ${i}`);
      assert.equal(new Set(together.map((t) => t.text)).size, 20);
    }));

  it("goes on writing while a long prompt is read, block by block", () =>
    withWriter(async (writer) => {
      let tokens = 0;
      let before = 0;
      const leaving = new AbortController();
      const writing = written({ ...writer, tokenizer: counting(writer, () => tokens++) }, { ...forever, prompt: "A" }, leaving.signal);
      await until("it writes", () => tokens > 2);
      const long = written(writer, { ...greedy, maxTokens: 1, prompt: "The sea and the whale. ".repeat(60) });
      before = tokens;
      await long;
      assert.ok(tokens - before >= 4, `${tokens - before} tokens meanwhile`);
      leaving.abort(new Error("enough"));
      await assert.rejects(writing, /enough/);
    }));

  it("a request that is cancelled leaves its place, whether it waits, reads or writes", () =>
    withWriter(
      async (writer) => {
        const leaving = Array.from({ length: 6 }, () => new AbortController());
        const all = leaving.map((l, i) => written(writer, { ...forever, seed: i, prompt: "The sea. ".repeat(i * 20) }, l.signal));
        const ends = all.map((a) => assert.rejects(a, /gone/));
        await until("two are under way", () => writer.engine.load.active === 2);
        assert.equal(writer.engine.load.waiting, 4);
        for (const l of leaving) l.abort(new Error("gone"));
        await Promise.all(ends);
        assert.equal((await written(writer, { ...greedy, prompt: "The whale" })).tokenIds.length, 40);
      },
      { sequences: 2 },
    ));

  it("refuses what it could not serve soon, and says so", () =>
    withWriter(
      async (writer) => {
        const leaving = new AbortController();
        const ask = (i: number) =>
          written(writer, { ...forever, client: `client ${i}`, prompt: "The whale" }, leaving.signal).catch(
            (error: Error) => error.message,
          );
        const busy = [ask(0)];
        await until("one is under way", () => writer.engine.load.active === 1);
        busy.push(ask(1), ask(2), ask(3));
        await assert.rejects(written(writer, { ...greedy, client: "client 5", prompt: "A" }), {
          code: "OVERLOADED",
          details: { waiting: 3, limit: 3 },
        });
        leaving.abort(new Error("gone"));
        assert.deepEqual(
          await Promise.all(busy),
          Array.from({ length: 4 }, () => "gone"),
        );
        const own = new AbortController();
        const two = [1, 2].map(() => written(writer, { ...forever, client: "greedy", prompt: "A" }, own.signal).catch(() => {}));
        await assert.rejects(written(writer, { ...greedy, client: "greedy", prompt: "A" }), { code: "OVERLOADED", message: /may have 2/ });
        own.abort(new Error("gone"));
        await Promise.all(two);
      },
      { sequences: 1 },
      { queue: 3, perClient: 2 },
    ));

  it("shares places out among clients: who asks for much does not keep out who asks for little", () =>
    withWriter(
      async (writer) => {
        const order: string[] = [];
        const ask = (client: string, maxTokens: number) =>
          written(writer, { ...forever, client, maxTokens, prompt: "A" }).then(() => void order.push(client));
        const much = Array.from({ length: 12 }, () => ask("much", 60));
        await until("it writes", () => writer.engine.load.active === 2);
        // How many are done by then is the machine's business; the two under way end, and perhaps two that begin with it.
        const before = order.length;
        await Promise.all([...much, ask("little", 12)]);
        assert.ok(before < 8 && order.indexOf("little") <= before + 4, `${before} of ${order}`);
      },
      { sequences: 2 },
    ));

  it("keeps to the memory set aside for caches", () =>
    withWriter(
      async (writer) => {
        // 4,608 bytes a token: room for 256 tokens, no more.
        await assert.rejects(written(writer, { ...greedy, maxTokens: 300, prompt: "A" }), { code: "REQUEST_TOO_LARGE" });
        const four = await Promise.all([1, 2, 3, 4].map((seed) => written(writer, { ...forever, seed, maxTokens: 100, prompt: "A" })));
        assert.ok(four.every((w) => w.tokenIds.length === 100));
      },
      { cacheBytes: 4608 * 256 },
    ));

  it("64 clients that come and go at random get each its own text, and leave nothing behind", async (t) => {
    const result = await soak({ folder: ahab, clients: 64, seconds: 6, seed: 1, check: 24 });
    t.diagnostic(JSON.stringify(result));
    assert.ok(result.finished > 50 && result.cancelled > 20, JSON.stringify(result));
    assert.equal(result.crossed, 0);
    assert.deepEqual(result.left, { active: 0, waiting: 0 });
  });
});

/** The writer's tokenizer, which tells of each token it decodes. */
function counting({ tokenizer }: ServedModel, tell: () => void): ServedModel["tokenizer"] {
  return {
    ...tokenizer,
    decode: (ids) => {
      tell();
      return tokenizer.decode(ids);
    },
  };
}
