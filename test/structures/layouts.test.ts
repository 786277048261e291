import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Model } from "../../src/onnx/ir.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { discover as discoverWith } from "../../src/structures/discover.ts";
import { remove } from "../../src/structures/remove.ts";
import type { StructureKind } from "../../src/structures/structure.ts";
import { assertClose, logitsOf, masked } from "../support/masked.ts";
import { type Block, batch, blocks, tinyModel, tokens, vocabulary } from "../support/tiny-models.ts";

const discover = (model: Model) => discoverWith(model, tensorReader("."));

/** Kinds by layer, e.g. ["ATTENTION+MLP", "MLP"]. */
function shape(model: Model): string[] {
  const { structures } = discover(model);
  const layers = structures.filter((s) => s.kind === "LAYER").map((s) => s.layer);
  return layers.map((layer) =>
    structures
      .filter((s) => s.layer === layer && s.kind !== "LAYER")
      .map((s) => s.kind)
      .join("+"),
  );
}

describe("structures of other architectures", () => {
  const two = (block: Block) => tinyModel([block, block]);

  it("are found where attention and MLP are added in turn", () => {
    assert.deepEqual(shape(two("sequential")), ["ATTENTION+MLP", "ATTENTION+MLP"]);
  });

  it("are found where both are added to the same value, in any order of the sum", () => {
    for (const block of ["parallel", "parallel, MLP first", "parallel, summed first"] as const)
      assert.deepEqual(shape(two(block)), ["ATTENTION+MLP", "ATTENTION+MLP"], block);
  });

  it("include the norms before and after a branch", () => {
    const model = two("sandwich");
    for (const { parameters, kind } of discover(model).structures) {
      const norms = parameters.filter((p) => p.includes("norm"));
      assert.equal(norms.length, kind === "LAYER" ? 4 : 2, `${kind}: ${parameters}`);
    }
  });

  it("leave the norm of a parallel layer to the layer, for neither branch owns it", () => {
    const { structures } = discover(two("parallel"));
    const norms = (kind: StructureKind) =>
      structures.filter((s) => s.kind === kind).map((s) => s.parameters.filter((p) => p.includes("norm")).length);
    assert.deepEqual(
      [norms("LAYER"), norms("ATTENTION"), norms("MLP")],
      [
        [1, 1],
        [0, 0],
        [0, 0],
      ],
    );
  });

  it("do not include the cubic term of GELU", () => {
    assert.deepEqual(shape(two("gelu")), ["ATTENTION+MLP", "ATTENTION+MLP"]);
  });

  it("are found where the norm follows the sum", () => {
    assert.deepEqual(shape(two("post-norm")), ["ATTENTION+MLP", "ATTENTION+MLP"]);
  });

  it("may be attentions alone, or several MLPs to a layer", () => {
    assert.deepEqual(shape(tinyModel(["attention", "attention"])), ["ATTENTION", "ATTENTION"]);
    assert.deepEqual(shape(tinyModel(["sequential", "mlp", "attention"])), ["ATTENTION+MLP+MLP", "ATTENTION"]);
  });
});

/** Every choice of some of the items. */
const choices = <T>(items: readonly T[]): T[][] =>
  Array.from({ length: 2 ** items.length - 1 }, (_, n) => items.filter((_, i) => ((n + 1) >> i) & 1));

describe("removal from other architectures", () => {
  const ids = {
    dataType: "int64",
    dims: [batch, tokens],
    data: BigInt64Array.from({ length: batch * tokens }, (_, i) => BigInt((i * 7) % vocabulary)),
  } as const;
  for (const block of blocks)
    it(`of any structures of a model of two ${block} blocks, and one attention, equals masking them`, async () => {
      const model = tinyModel([block, block, "attention"]);
      const { structures, parameters } = discover(model);
      const last = structures.filter((s) => s.kind === "ATTENTION").length - 1;
      const others = structures.filter((s) => s.kind !== "LAYER" && !(s.kind === "ATTENTION" && s.index === last));
      for (const gone of [...choices(others), ...structures.filter((s) => s.kind === "LAYER").map((s) => [s])]) {
        const pruned = remove(model, gone);
        for (const s of gone) for (const p of s.parameters) assert.ok(!pruned.graph.initializers.has(p));
        const kept = discover(pruned).parameters;
        assert.deepEqual(
          [...parameters].filter(([name]) => pruned.graph.initializers.has(name)),
          [...kept],
        );
        assertClose(await logitsOf(pruned, { input_ids: ids }), await logitsOf(masked(model, gone), { input_ids: ids }));
      }
    });
});

describe("parameters", () => {
  it("count a head tied to the embedding once, written as it is, copied or transposed", () => {
    const own = discover(tinyModel(["sequential"], "untied")).parameterCount;
    for (const head of ["shared", "copied", "transposed"] as const)
      assert.equal(discover(tinyModel(["sequential"], head)).parameterCount, own - 16 * 8, head);
  });

  it("count learned positions, and neither rotary tables nor masks", () => {
    const { parameters } = discover(tinyModel(["sequential"]));
    assert.equal(parameters.get("positions"), 32 * 8);
    assert.deepEqual(
      [...parameters.keys()].filter((p) => /rotary|mask/.test(p)),
      [],
    );
  });
});
