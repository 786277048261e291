import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { candidates, leavesAttention, lowest, normalized, rank } from "../../src/pruning/select.ts";
import type { Structure, StructureKind } from "../../src/structures/structure.ts";

/** Four layers of one attention (weights of 10) and one MLP (of 30). */
const sizes = new Map<string, number>([0, 1, 2, 3].flatMap((l) => [[`a${l}`, 10] as const, [`m${l}`, 30] as const]));
const structure = (kind: StructureKind, layer: number, parameters: string[]): Structure => ({
  kind,
  index: layer,
  layer,
  parameters,
  parameterCount: parameters.reduce((n, p) => n + (sizes.get(p) as number), 0),
});
const structures = [0, 1, 2, 3].flatMap((l) => [
  structure("LAYER", l, [`a${l}`, `m${l}`]),
  structure("ATTENTION", l, [`a${l}`]),
  structure("MLP", l, [`m${l}`]),
]);
const all = { structureKinds: ["LAYER", "ATTENTION", "MLP"] as const, protectFirst: 0, protectLast: 0 };
const named = (list: readonly { structure: Structure }[]) => list.map((c) => `${c.structure.kind} ${c.structure.index}`);

describe("candidates", () => {
  it("are of the kinds asked for, outside the protected layers", () => {
    const options = { structureKinds: ["LAYER"] as const, protectFirst: 1, protectLast: 2 };
    assert.deepEqual(named(candidates(structures, new Set(), sizes, options)), ["LAYER 1"]);
  });

  it("shrink by what is removed, and go when nothing of them is left", () => {
    const left = candidates(structures, new Set(["m2"]), sizes, all);
    assert.deepEqual(
      named(left).filter((n) => n.endsWith("2")),
      ["LAYER 2", "ATTENTION 2"],
    );
    assert.deepEqual(
      left.filter((c) => c.structure.index === 2).map((c) => c.parameterCount),
      [10, 10],
    );
    assert.equal(named(candidates(structures, new Set(["a2", "m2"]), sizes, all)).filter((n) => n.endsWith("2")).length, 0);
  });
});

const always = () => true;

describe("a ranking", () => {
  const open = candidates(structures, new Set(), sizes, all);
  const scored = open.map((c, i) => ({ ...c, score: i % 3 }));

  it("puts the lowest first, and ties by kind and position", () => {
    assert.deepEqual(named(rank([...scored].reverse())).slice(0, 5), ["LAYER 0", "LAYER 1", "LAYER 2", "LAYER 3", "ATTENTION 0"]);
  });

  it("gives no more than asked for, nor beyond what meets the target", () => {
    assert.deepEqual(
      lowest(rank(scored), 2, 1000, always).map((r) => r.index),
      [0, 1],
    );
    assert.deepEqual(
      lowest(rank(scored), 4, 41, always).map((r) => r.index),
      [0, 1],
    );
    assert.deepEqual(lowest(rank(scored), 4, 0, always), []);
  });

  it("passes over what lies inside a structure already taken", () => {
    const inside = rank(scored.filter((s) => s.structure.layer === 1));
    assert.deepEqual(
      lowest(inside, 3, 1000, always).map((r) => r.kind),
      ["LAYER"],
    );
  });
});

describe("the last attention", () => {
  const gone = new Set(["a0", "a1", "a3"]);

  it("is no candidate, nor is the layer it lies in", () => {
    assert.deepEqual(
      named(candidates(structures, gone, sizes, all)).filter((n) => n.endsWith("2")),
      ["MLP 2"],
    );
  });

  it("is passed over when those ranked before it take the others", () => {
    const ranked = rank(
      candidates(structures, new Set(), sizes, { ...all, structureKinds: ["ATTENTION"] }).map((c) => ({ ...c, score: c.structure.index })),
    );
    assert.deepEqual(
      lowest(ranked, 4, 1000, (taken) => leavesAttention(structures, taken)).map((r) => r.index),
      [0, 1, 2],
    );
  });
});

it("scores are divided as the normalisation says", () => {
  assert.deepEqual(
    (["NONE", "PARAMETER_COUNT", "SQRT_PARAMETER_COUNT"] as const).map((n) => normalized(8, 16, n)),
    [8, 0.5, 2],
  );
});
