import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { describe as describeModel, type Facts } from "../../src/models/describe.ts";
import { decode } from "../../src/onnx/decode.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { bringInSmall } from "../../src/onnx/passes/bring-in-small.ts";
import { canonical } from "../../src/onnx/passes/canonical.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { verify } from "../../src/onnx/verify.ts";
import { shuffled as inAnyOrder, randomChoice, seededRandom } from "../../src/random.ts";
import { fixtures } from "../support/fixtures.ts";
import * as spell from "../support/spellings.ts";

// However a graph is spelled, it is the same model: three ways of spelling after one another, drawn anew for each fixture.

const seed = Number(process.env["SPELLINGS_SEED"] ?? 20261126);
const folder = mkdtempSync(join(tmpdir(), "espalier-spelled-"));
after(() => rmSync(folder, { recursive: true }));

const within: Readonly<Record<string, spell.Spelling>> = {
  constants: spell.constants,
  functions: spell.functions,
  "initializers as inputs": spell.initializersAsInputs,
  "int32 inputs": spell.int32Inputs,
  merged: spell.merged,
  shuffled: spell.shuffled,
  sparse: spell.sparse,
};
const beside: Readonly<Record<string, spell.Spelling>> = {
  inside: spell.external(Number.POSITIVE_INFINITY, "none"),
  "all beside": spell.external(0, "weights.bin"),
  "most beside": spell.external(100, "weights.bin"),
};

/** What of a model does not depend on the names in its graph, nor on how many nodes say a thing. */
async function factsOf(model: Model): Promise<object> {
  verify(model);
  const facts: Facts = await describeModel(model, tensorReader(folder), { length: null, obstacle: null, answer: null });
  const { parameterCount, opset, architecture, structures, obstacles } = facts;
  return {
    parameterCount,
    opset,
    architecture,
    structures: structures.map(({ parameters, ...own }) => ({ ...own, parameters: parameters.length })),
    obstacles: obstacles.map(({ kind, layer, reason }) => ({ kind, layer, reason })),
  };
}

describe(`fixtures spelled in other ways (seed ${seed})`, () => {
  for (const { name, read } of fixtures)
    it(name, async (t) => {
      const { model } = read();
      const random = seededRandom(seed, name);
      const ways = inAnyOrder(random, Object.keys(within)).slice(0, 3);
      const place = randomChoice(random, Object.keys(beside));
      t.diagnostic([...ways, place].join(", "));
      // As a canonical model has what the first spelling may need.
      let spelled = canonical(model).model;
      for (const way of ways) spelled = decode((within[way] as spell.Spelling)(spelled, random).graph);
      const { graph, beside: files = {} } = (beside[place] as spell.Spelling)(spelled, random);
      for (const [file, bytes] of Object.entries(files)) writeFileSync(join(folder, file), bytes);
      const again = bringInSmall(canonical(decode(graph)).model, tensorReader(folder));
      assert.deepEqual(await factsOf(again), await factsOf(canonical(model).model), [...ways, place].join(", "));
    });
});
