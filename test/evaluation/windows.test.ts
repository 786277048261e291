import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { batchByLength, groupByBeginning, sharedBeginning } from "../../src/evaluation/batches.ts";
import { meanOf, ratioOf } from "../../src/evaluation/statistics.ts";
import { windowsOf } from "../../src/evaluation/windows.ts";

describe("windows", () => {
  it("predict each token but the first of a stream once, in order, as the stride allows", () => {
    const strides = fc.integer({ min: 2, max: 16 }).chain((length) => fc.tuple(fc.constant(length), fc.integer({ min: 1, max: length })));
    fc.assert(
      fc.property(fc.nat(60), strides, fc.option(fc.integer({ min: 1, max: 40 })), (tokens, [length, stride], limit) => {
        const windows = windowsOf(tokens, length, stride, limit);
        const predicted = windows.flatMap((w) => Array.from({ length: w.predicted }, (_, i) => w.end - w.predicted + i));
        const sideBySide = (t: number) => stride === length && t % length === 0;
        const all = Array.from({ length: tokens }, (_, t) => t).filter((t) => t > 0 && !sideBySide(t));
        assert.deepEqual(predicted, all.slice(0, limit ?? undefined));
        for (const w of windows) {
          assert.ok(w.end - w.start <= length && w.start % stride === 0);
          // What comes before a prediction: all there is, or at least the length less the stride.
          assert.ok(w.start === 0 || w.end - w.predicted - w.start >= Math.max(1, length - stride));
        }
      }),
    );
  });
});

const rowsOf = fc.array(
  fc.record({ ids: fc.array(fc.nat(2), { minLength: 1, maxLength: 12 }), cut: fc.nat(5) }).map(({ ids, cut }) => ({
    ids,
    targets: ids.slice(0, Math.min(ids.length, cut + 1)),
  })),
  { minLength: 1, maxLength: 20 },
);

describe("batches", () => {
  it("share a beginning that leaves every predicted token outside", () =>
    fc.assert(
      fc.property(rowsOf, (rows) => {
        const shared = sharedBeginning(rows);
        const beginnings = new Set(rows.map(({ ids }) => JSON.stringify(ids.slice(0, shared))));
        assert.equal(beginnings.size, 1);
        assert.ok(rows.every(({ ids, targets }) => ids.length - targets.length >= shared));
        const more = rows.every(({ ids, targets }) => ids.length - targets.length > shared && ids[shared] === rows[0]?.ids[shared]);
        assert.ok(!more, "it could be longer");
      }),
    ));

  it("hold every row once and no more than a run may", () =>
    fc.assert(
      fc.property(rowsOf, fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 80 }), fc.nat(9), (rows, perRun, held, past) => {
        const batches = batchByLength(rows, perRun, held, past);
        assert.deepEqual(new Set(batches.flat()), new Set(rows));
        assert.equal(batches.flat().length, rows.length);
        for (const batch of batches) {
          const longest = Math.max(...batch.map((r) => r.ids.length));
          assert.ok(batch.length === 1 || (batch.length * longest <= perRun && batch.length * (longest + past) <= held));
        }
      }),
    ));

  it("group every item once by a beginning that each of the group has", () => {
    const items = fc.array(fc.nat(30), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(items, fc.integer({ min: 1, max: 100 }), (beginnings, perRun) => {
        const groups = groupByBeginning(
          beginnings,
          beginnings.map((n) => n + 1),
          perRun,
        );
        const members = groups.flatMap((g) => g.members).sort((a, b) => a - b);
        assert.deepEqual(
          members,
          beginnings.map((_, i) => i),
        );
        for (const { length, members: of } of groups) {
          assert.equal(length, Math.min(...of.map((i) => beginnings[i] as number)));
          assert.ok(of.length === 1 || length * of.length <= perRun);
          assert.ok(of.every((i) => (beginnings[i] as number) <= 2 * length || length === 0));
        }
      }),
    );
  });
});

describe("statistics", () => {
  it("give the standard error of a mean by the sample's deviation", () => {
    // 0, 0, 1, 1, 1: mean 0.6, sample variance 0.3, standard error sqrt(0.3 / 5).
    const { value, standardError } = meanOf([0, 0, 1, 1, 1]);
    assert.ok(Math.abs(value - 0.6) < 1e-15 && Math.abs((standardError ?? 0) - Math.sqrt(0.06)) < 1e-15);
    assert.deepEqual(meanOf([1]), { value: 1, standardError: null });
  });

  it("give that of a ratio over windows which the spread of many samples shows", () => {
    // Windows of 4 or 8 tokens with a mean of their own each: the spread of the ratio over samples is what one sample's error says.
    let seed = 1;
    const random = () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed / 2 ** 32;
    };
    const samples = Array.from({ length: 600 }, () => {
      const counts = Array.from({ length: 50 }, () => (random() < 0.5 ? 4 : 8));
      return ratioOf(
        counts.map((n) => n * (2 + random())),
        counts,
      );
    });
    const mean = samples.reduce((a, s) => a + s.value, 0) / samples.length;
    const spread = Math.sqrt(samples.reduce((a, s) => a + (s.value - mean) ** 2, 0) / (samples.length - 1));
    const said = samples.reduce((a, s) => a + (s.standardError ?? Number.NaN), 0) / samples.length;
    assert.ok(Math.abs(spread / said - 1) < 0.1, `${spread} ${said}`);
  });
});
