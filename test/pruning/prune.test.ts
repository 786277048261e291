import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { IterationRecord } from "../../src/pruning/events.ts";
import type { PruningOptions } from "../../src/pruning/options.ts";
import { graphDigest, pruneAhab, quick, timeless } from "../support/loop.ts";

describe("prune", () => {
  it("stops at the first iteration that reaches the target, and adds up", async () => {
    const { events, iterations } = await pruneAhab({ targetRatio: 0.2 });
    assert.deepEqual(
      events.map((e) => e.type).filter((t) => t !== "SCORING"),
      ["STARTED", "ITERATION", "ITERATION", "ITERATION", "FINISHED"],
    );
    const layer = 101_568;
    assert.deepEqual(
      iterations.map((i) => i.parameterCount),
      [1, 2, 3].map((n) => 1_415_520 - n * layer),
    );
    assert.ok((iterations[1] as IterationRecord).removedRatio < 0.2 && (iterations[2] as IterationRecord).removedRatio >= 0.2);
    for (const { scores, removed } of iterations) {
      const [table] = scores;
      const [gone] = removed;
      assert.ok(table && gone && table.scores.every((s) => s > 0));
      assert.equal(table.indexes[table.scores.indexOf(Math.min(...table.scores))], gone.index);
    }
    // A structure that is gone is scored no more.
    assert.deepEqual(
      iterations.map((i) => i.scores[0]?.indexes.length),
      [12, 11, 10],
    );
  });

  it("gives the same events and the same bytes for the same seed, and goes on after any iteration as if never stopped", async () => {
    const options = { structureKinds: ["ATTENTION", "MLP"] as const, structuresPerIteration: 2, targetRatio: 0.15 };
    const whole = await pruneAhab(options);
    assert.deepEqual(timeless((await pruneAhab(options)).events), timeless(whole.events));
    const cut = 1;
    const resumed = await pruneAhab(options, whole.iterations.slice(0, cut));
    assert.deepEqual(timeless(resumed.iterations), timeless(whole.iterations.slice(cut)));
    assert.deepEqual(resumed.removed, whole.removed);
    assert.equal(await graphDigest(resumed.removed), await graphDigest(whole.removed));
  });

  it("estimates what is left by the mean iteration so far, those of an earlier worker too", async () => {
    // Of layers that are alike three must go.
    const estimates = ({ durations, of }: { durations: readonly number[]; of: readonly IterationRecord[] }) =>
      of.map((_, i) => {
        const sofar = [...durations, ...of.slice(0, i + 1).map((o) => o.durationMs)];
        return (sofar.reduce((a, b) => a + b, 0) / sofar.length) * (3 - sofar.length);
      });
    const assertEstimates = (of: readonly IterationRecord[], durations: readonly number[] = []) => {
      for (const [i, right] of estimates({ durations, of }).entries())
        assert.ok(Math.abs((of[i]?.estimatedMsLeft ?? Number.NaN) - right) <= 1e-9 * right, `${of[i]?.estimatedMsLeft}, not ${right}`);
    };
    const { iterations } = await pruneAhab({ targetRatio: 0.2 });
    assert.equal(iterations.length, 3);
    assertEstimates(iterations);
    const [first] = iterations as [IterationRecord];
    const resumed = await pruneAhab({ targetRatio: 0.2 }, [{ ...first, durationMs: 1e6 }]);
    assert.equal(resumed.iterations.length, 2);
    assertEstimates(resumed.iterations, [1e6]);
  });

  it("draws other texts for another seed, and new perturbations for every iteration if asked to", async () => {
    const scores = async (options: Partial<PruningOptions>) =>
      (await pruneAhab({ targetRatio: 0.1, ...options })).iterations.map((i) => [i.loss, i.perturbedLoss]);
    const [kept, renewed, other] = [
      await scores({ perturbation: { ...quick.perturbation, regenerate: false } }),
      await scores({ perturbation: { ...quick.perturbation, regenerate: true } }),
      await scores({ seed: 1 }),
    ];
    assert.deepEqual(kept[0], renewed[0]);
    assert.equal(kept[1]?.[0], renewed[1]?.[0]);
    assert.notEqual(kept[1]?.[1], renewed[1]?.[1]);
    assert.notEqual(other[0]?.[0], kept[0]?.[0]);
  });

  it("keeps protected layers, and says when nothing is left that may go", async () => {
    await assert.rejects(pruneAhab({ protectFirst: 5, protectLast: 6, targetRatio: 0.2 }), (error: { code: string; message: string }) => {
      assert.equal(error.code, "TARGET_UNREACHABLE");
      assert.match(error.message, /7\.2% of the parameters are gone, 20\.0% were asked for/);
      return true;
    });
  });
});
