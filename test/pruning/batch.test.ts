import assert from "node:assert/strict";
import { test } from "node:test";
import type { ValueInfo } from "../../src/onnx/ir.ts";
import { batchOf, rowsPerRun } from "../../src/pruning/evidence/batch.ts";
import { signatureOf } from "../../src/signature/signature.ts";
import { nextTokens } from "../../src/text/view.ts";

test("a run takes as many texts as it has tokens for, and one in any case", () => {
  assert.deepEqual(
    [1, 300, 512, 513, 1024, 1025, 5000].map((T) => rowsPerRun(T)),
    [1024, 3, 2, 1, 1, 1, 1],
  );
});

test("each text predicts its next tokens with weights that add up to its sign; the rest is padding; ids are as the model takes them", () => {
  const tokens: ValueInfo = { name: "input_ids", dataType: "int32", shape: ["B", "T"] };
  const {
    ids: feeds,
    targets,
    weights,
  } = batchOf(signatureOf([tokens]), [[5, 6, 7], [1, 2, 3, 4, 5, 6], [9]].map(nextTokens), [4, 4], 4, (row) => (row === 1 ? -1 : 1));
  const ids = feeds["input_ids"];
  assert.ok(ids);
  assert.deepEqual([ids.dataType, targets.dataType], ["int32", "int64"]);
  assert.deepEqual(
    [ids.dims, targets.dims, weights.dims],
    [
      [4, 4],
      [4, 4],
      [4, 4],
    ],
  );
  const rows = (values: ArrayLike<number | bigint>) => [0, 4, 8, 12].map((start) => Array.from(values, Number).slice(start, start + 4));
  // The second is longer than a row; the third has nothing to predict.
  assert.deepEqual(rows(ids.data), [
    [5, 6, 0, 0],
    [1, 2, 3, 4],
    [0, 0, 0, 0],
    [0, 0, 0, 0],
  ]);
  assert.deepEqual(rows(targets.data), [
    [6, 7, 0, 0],
    [2, 3, 4, 5],
    [0, 0, 0, 0],
    [0, 0, 0, 0],
  ]);
  assert.deepEqual(rows(weights.data), [
    [0.5, 0.5, 0, 0],
    [-0.25, -0.25, -0.25, -0.25],
    [0, 0, 0, 0],
    [0, 0, 0, 0],
  ]);
});
