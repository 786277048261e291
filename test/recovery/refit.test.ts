import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seededRandom } from "../../src/random.ts";
import { solveInPlace } from "../../src/recovery/cholesky.ts";
import { refit } from "../../src/recovery/refit.ts";

const seed = 11;
const normal = (random: Random): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
const matrix = (rows: number, columns: number, random: Random): number[][] =>
  Array.from({ length: rows }, () => Array.from({ length: columns }, () => normal(random)));
const product = (a: number[][], b: number[][]): number[][] =>
  a.map((row) => (b[0] ?? []).map((_, c) => row.reduce((sum, x, k) => sum + x * (b[k]?.[c] as number), 0)));
const transpose = (a: number[][]): number[][] => (a[0] ?? []).map((_, c) => a.map((row) => row[c] as number));
const gramOf = (x: number[][]): Float64Array => Float64Array.from(product(transpose(x), x).flat());
const squares = (a: number[][], b: number[][]): number =>
  a.flat().reduce((sum, value, i) => sum + (value - (b.flat()[i] as number)) ** 2, 0);

/** Gaussian elimination with pivots: another way to the solution than Cholesky's. */
function eliminated(a: number[][], b: number[][]): number[][] {
  const rows = a.map((row, i) => [...row, ...(b[i] as number[])]);
  const n = a.length;
  for (let i = 0; i < n; i++) {
    const pivot = rows
      .slice(i)
      .reduce((best, row, k) => (Math.abs(row[i] as number) > Math.abs(rows[best]?.[i] as number) ? i + k : best), i);
    [rows[i], rows[pivot]] = [rows[pivot] as number[], rows[i] as number[]];
    const own = (rows[i] as number[]).map((value) => value / (rows[i]?.[i] as number));
    rows[i] = own;
    for (let k = 0; k < n; k++)
      if (k !== i) rows[k] = (rows[k] as number[]).map((value, c) => value - (rows[k]?.[i] as number) * (own[c] as number));
  }
  return rows.map((row) => row.slice(n));
}

test("Cholesky's solution is that of elimination", () => {
  const random = seededRandom(seed, "cholesky");
  for (const [n, m] of [
    [1, 1],
    [2, 3],
    [17, 5],
    [60, 1],
  ] as const) {
    const x = matrix(n + 3, n, random);
    const a = product(transpose(x), x);
    const b = matrix(n, m, random);
    const found = Float64Array.from(b.flat());
    assert.ok(solveInPlace(Float64Array.from(a.flat()), found, n));
    const expected = eliminated(a, b).flat();
    for (const [i, value] of found.entries())
      assert.ok(Math.abs(value - (expected[i] as number)) < 1e-6 * (1 + Math.abs(value)), `${n}: ${i}`);
  }
  assert.equal(solveInPlace(Float64Array.of(1, 2, 2, 1), Float64Array.of(1, 1), 2), false, "not definite");
});

/** X of unlike scales, whose columns depend on each other, and W. */
function problem(tokens: number, n: number, m: number, name: string) {
  const random = seededRandom(seed, name);
  const mixing = matrix(n, n, random);
  const x = product(matrix(tokens, n, random), mixing).map((row) => row.map((value, i) => value * (1 + (i % 3))));
  const weights = matrix(n, m, random);
  return { x, weights, flat: Float32Array.from(weights.flat()) };
}

test("what stays gets the weights of the least squares that is drawn to what it had", () => {
  const [tokens, n, m] = [200, 12, 7];
  const { x, flat } = problem(tokens, n, m, "refit");
  const weights = Array.from({ length: n }, (_, i) => [...flat.subarray(i * m, (i + 1) * m)]);
  const kept = [0, 2, 3, 4, 7, 8, 9, 11];
  const { rows, cut, left } = refit(flat, n, kept, { own: gramOf(x), heldBack: gramOf(x) });
  const stays = x.map((row) => kept.map((i) => row[i] as number));
  // min || X W - X_S V ||^2 + l || V - W_S ||^2, by its normal equations with X itself.
  const lambda = (0.01 / kept.length) * stays.flat().reduce((sum, value) => sum + value * value, 0);
  const left_ = product(transpose(stays), stays).map((row, i) => row.map((value, k) => value + (i === k ? lambda : 0)));
  const given = product(x, weights);
  const right = product(transpose(stays), given).map((row, i) =>
    row.map((value, c) => value + lambda * (weights[kept[i] as number]?.[c] as number)),
  );
  const expected = eliminated(left_, right);
  assert.ok(rows);
  for (const [i, value] of expected.flat().entries())
    assert.ok(Math.abs((rows[i] as number) - value) < 1e-6 * (1 + Math.abs(value)), `${i}`);
  const whole = squares(
    given,
    given.map((row) => row.map(() => 0)),
  );
  const plain = product(
    stays,
    kept.map((i) => weights[i] as number[]),
  );
  assert.ok(Math.abs(cut - squares(given, plain) / whole) < 1e-9);
  assert.ok(Math.abs(left - squares(given, product(stays, expected)) / whole) < 1e-9);
  assert.ok(left < cut);
});

test("weights of which nothing is cut are given back", () => {
  const { x, flat } = problem(100, 6, 4, "whole");
  const { rows, cut, left } = refit(flat, 6, [0, 1, 2, 3, 4, 5], { own: gramOf(x), heldBack: gramOf(x) });
  assert.equal(cut, 0);
  assert.equal(left, 0);
  // It does no better than the cut, which does nothing.
  assert.equal(rows, null);
});

test("a channel of which another is a copy is made up for", () => {
  const { x, flat } = problem(300, 5, 4, "copy");
  const copied = x.map((row) => [...row, row[2] as number]);
  const weights = Float32Array.from([...flat, 1, -2, 3, 0.5]);
  const { rows, left, cut } = refit(weights, 6, [0, 1, 2, 3, 4], { own: gramOf(copied), heldBack: gramOf(copied) });
  assert.ok(rows && left < 1e-3 * cut, `${left} of ${cut}`);
});

test("what does worse on texts that were held back is left as it was cut", () => {
  const { x, flat } = problem(4, 6, 4, "few");
  const { x: others } = problem(300, 6, 4, "others");
  const { rows, cut, left } = refit(flat, 6, [0, 1, 2, 3], { own: gramOf(x), heldBack: gramOf(others) });
  assert.equal(rows, null);
  assert.equal(left, cut);
  assert.equal(refit(flat, 6, [0, 1], { own: new Float64Array(36), heldBack: gramOf(others) }).rows, null, "of inputs that are all 0");
});
