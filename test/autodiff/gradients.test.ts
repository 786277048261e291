import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { GraphBuilder } from "../../src/onnx/builder.ts";
import { operatorKey } from "../../src/onnx/ir.ts";
import type { GradientRule, Operator, Operators } from "../../src/operators/operator.ts";
import { operators } from "../../src/operators/operators.ts";
import { primalOf, relativeErrors, titleOf } from "../support/finite-differences.ts";
import { rows } from "./rows.ts";

const TOLERANCE = 0.005;
const MUTATION = 1.05;
const seed = 20;

/** The table with one cotangent of one operator slightly wrong. */
function mutated(operator: string, input: number): Operators {
  const record = operators.get(operator);
  const rule = record?.gradient;
  if (typeof rule !== "function") throw new Error(`no rule for ${operator}`);
  const gradient: GradientRule = (b, primal, ...dys) =>
    rule(b, primal, ...dys).map((dx, i) => (dx && i === input ? b.mul(dx, scale(b, dx)) : dx));
  return new Map([...operators, [operator, { ...record, gradient } as Operator]]);
}
const scale = (b: GraphBuilder, dx: { dataType: string }) =>
  dx.dataType === "float64" ? b.cast(b.scalar(MUTATION), "float64", 11) : b.scalar(MUTATION);

describe(`gradient rules against finite differences (seed ${seed})`, () => {
  for (const row of rows)
    it(titleOf(row), async () => {
      const errors = await relativeErrors(row, operators, seed);
      assert.ok(
        errors.every((e) => e < TOLERANCE),
        `relative errors by input: ${errors}`,
      );
    });
});

describe("the check itself", () => {
  it("has a row for every rule, and every row runs its operator", () => {
    const rules = [...operators.keys()].filter((operator) => typeof operators.get(operator)?.gradient === "function");
    const covered = new Set(rows.map((r) => r.operator));
    assert.deepEqual(
      rules.filter((operator) => !covered.has(operator)),
      [],
    );
    for (const row of rows)
      assert.ok(
        primalOf(row).b.nodes.some((n) => operatorKey(n) === row.operator),
        titleOf(row),
      );
  });

  for (const row of rows)
    it(`notices ${titleOf(row)} scaled by ${MUTATION}, each input on its own`, async () => {
      for (const [i] of row.shapes.entries()) {
        // An input's position in the node is its position in the row, but for a few that take a constant before it.
        const node = primalOf(row).b.nodes.find((n) => operatorKey(n) === row.operator && n.inputs.includes(`x${i}`));
        assert.ok(node, `x${i} is not read by ${row.operator}`);
        const errors = await relativeErrors(row, mutated(row.operator, node.inputs.indexOf(`x${i}`)), seed);
        assert.ok((errors[i] as number) > TOLERANCE, `input ${i}: relative error ${errors[i]} went unnoticed`);
      }
    });
});
