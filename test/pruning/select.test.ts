import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { OpenGroup, Part } from "../../src/pruning/open-groups.ts";
import { normalized, type Ranked, rank, type ScoredGroup, Selection, tables, takeLowest } from "../../src/pruning/select.ts";
import { takeUniform } from "../../src/pruning/uniform.ts";
import type { StructureKind } from "../../src/structures/structure.ts";

const whole = (parameter: string): Part => ({ parameter, axis: null, owners: new Int32Array() });
const slice = (parameter: string): Part => ({ parameter, axis: 0, owners: new Int32Array() });

/** Layers of one attention (a weight of 10, two heads) and one MLP (of 30, six channels); each structure's score is its own. */
function groupsOf(layer: number, scores: Partial<Record<StructureKind, readonly number[]>>): ScoredGroup[] {
  const group = (kind: StructureKind, parts: Part[], parameterCount: number, keep: number): ScoredGroup[] => {
    const own = scores[kind];
    if (!own) return [];
    const indexes = own.map((_, i) => own.length * layer + i);
    return [{ kind, layer, indexes, parameterCount, parts, removable: own.length - keep, scores: own }];
  };
  return [
    ...group("LAYER", [whole(`a${layer}`), whole(`m${layer}`)], 40, 0),
    ...group("ATTENTION", [whole(`a${layer}`)], 10, 0),
    ...group("MLP", [whole(`m${layer}`)], 30, 0),
    ...group("HEAD", [slice(`a${layer}`)], 5, 1),
    ...group("CHANNEL", [slice(`m${layer}`)], 5, 1),
  ];
}
const named = (list: readonly { kind: StructureKind; index: number }[]) => list.map((r) => `${r.kind} ${r.index}`);
const always = () => true;
const lowest = (groups: readonly ScoredGroup[], count: number, toRemove = 1000, mayGo: (p: ReadonlySet<string>) => boolean = always) => {
  const selection = new Selection(count, toRemove, mayGo);
  takeLowest(selection, groups);
  return named(selection.taken);
};

describe("a ranking", () => {
  const layers = [0, 1, 2].flatMap((l) => groupsOf(l, { LAYER: [0], ATTENTION: [1], MLP: [2] }));

  it("puts the lowest first, and ties by kind and position", () => {
    const order = rank([...layers].reverse()).map(({ group, place }) => `${group.kind} ${group.indexes[place]}`);
    assert.deepEqual(order.slice(0, 4), ["LAYER 0", "LAYER 1", "LAYER 2", "ATTENTION 0"]);
  });

  it("gives no more than asked for, nor beyond what meets the target", () => {
    assert.deepEqual(lowest(layers, 2), ["LAYER 0", "LAYER 1"]);
    assert.deepEqual(lowest(layers, 4, 41), ["LAYER 0", "LAYER 1"]);
    assert.deepEqual(lowest(layers, 4, 0), []);
  });

  it("passes over what lies inside a structure already taken, and what one already taken lies in", () => {
    assert.deepEqual(lowest(groupsOf(1, { LAYER: [0], ATTENTION: [1], MLP: [2], HEAD: [3, 4] }), 9), ["LAYER 1"]);
    const inner = groupsOf(0, { LAYER: [2], ATTENTION: [3], MLP: [9], HEAD: [0, 1] });
    assert.deepEqual(lowest(inner, 9), ["HEAD 0", "MLP 0"]);
  });

  it("takes no more of a group than it can spare", () => {
    assert.deepEqual(lowest(groupsOf(0, { HEAD: [3, 1, 2], CHANNEL: [4, 5] }), 9), ["HEAD 1", "HEAD 2", "CHANNEL 0"]);
  });

  it("passes over what lies only partly inside a structure already taken", () => {
    const [whole0, across] = [groupsOf(0, { MLP: [0] }), groupsOf(0, { LAYER: [1] })];
    assert.deepEqual(lowest([...whole0, ...across], 9), ["MLP 0"]);
  });

  it("says of each whether it was taken", () => {
    const selection = new Selection(9, 1000, (gone) => gone.size < 2);
    const ranked = rank([0, 1].flatMap((l) => groupsOf(l, { ATTENTION: [l], HEAD: [5, 6] })));
    const [first, second, ...heads] = ranked as [Ranked, Ranked, ...Ranked[]];
    assert.equal(selection.take(first), true);
    assert.equal(selection.take(first), false, "it is gone");
    assert.equal(selection.take(second), false, "the model cannot do without it");
    // Of layer 0 none, for it is gone; of layer 1 one, for the other must stay.
    const taken = heads.map(
      (head) => `${named([{ kind: "HEAD", index: head.group.indexes[head.place] as number }])} ${selection.take(head)}`,
    );
    assert.deepEqual(taken, ["HEAD 0 false", "HEAD 2 true", "HEAD 1 false", "HEAD 3 false"]);
    assert.equal(selection.take(second), false, "a part of it is gone");
  });

  it("passes over what the model cannot do without once those before it are gone", () => {
    const attentions = [0, 1, 2].flatMap((l) => groupsOf(l, { ATTENTION: [l] }));
    assert.deepEqual(
      lowest(attentions, 3, 1000, (taken) => taken.size < 3),
      ["ATTENTION 0", "ATTENTION 1"],
    );
  });
});

it("scores are divided as the normalisation says", () => {
  const group = (kind: StructureKind, parameterCount: number, scores: number[]): ScoredGroup => {
    const open: OpenGroup = { kind, layer: 0, indexes: [...scores.keys()], parameterCount, parts: [], removable: 1 };
    return { ...open, scores };
  };
  const groups = [group("LAYER", 16, [8, 16]), group("HEAD", 4, [2]), group("HEAD", 4, [6]), group("CHANNEL", 1, [0, 0])];
  const all = (n: Parameters<typeof normalized>[1]) => normalized(groups, n).flatMap((g) => g.scores);
  assert.deepEqual(all("NONE"), [8, 16, 2, 6, 0, 0]);
  assert.deepEqual(all("PARAMETER_COUNT"), [0.5, 1, 0.5, 1.5, 0, 0]);
  assert.deepEqual(all("SQRT_PARAMETER_COUNT"), [2, 4, 1, 3, 0, 0]);
  assert.deepEqual(all("KIND_MEAN"), [8 / 12, 16 / 12, 0.5, 1.5, 0, 0]);
  // What has no parameters of its own, or of a kind that scores 0 throughout, keeps its score.
  for (const n of ["PARAMETER_COUNT", "SQRT_PARAMETER_COUNT"] as const)
    assert.deepEqual(normalized([group("MLP", 0, [3])], n)[0]?.scores, [3]);
  // A mean below 0 leaves the order as it is.
  const [signed] = normalized(groupsOf(0, { HEAD: [-3, 1] }), "KIND_MEAN");
  assert.deepEqual(signed?.scores, [-1.5, 0.5]);
  assert.deepEqual(tables(groups), [
    { kind: "LAYER", indexes: [0, 1], scores: [8, 16] },
    { kind: "HEAD", indexes: [0, 0], scores: [2, 6] },
    { kind: "CHANNEL", indexes: [0, 1], scores: [0, 0] },
  ]);
});

describe("uniform removal", () => {
  const uniform = (groups: readonly ScoredGroup[], multiple: number, count: number, toRemove = 1000) => {
    const selection = new Selection(count, toRemove, always);
    takeUniform(selection, groups, { headMultiple: 1, channelMultiple: multiple });
    return named(selection.taken);
  };
  const layers = [
    groupsOf(0, { HEAD: [9, 1, 5], CHANNEL: [1, 2, 3, 4, 5, 6] }),
    groupsOf(1, { HEAD: [2, 9, 9], CHANNEL: [1, 1, 9, 9, 1, 1] }),
  ].flat();

  it("takes the lowest of every layer, so many that equally many stay, the cheaper kind first", () => {
    // Heads: (1 + 2) / 2. Channels, two of each layer: (1 + 2 + 1 + 1) / 4.
    assert.deepEqual(uniform(layers, 2, 1), ["CHANNEL 0", "CHANNEL 1", "CHANNEL 6", "CHANNEL 7"]);
    assert.deepEqual(uniform(layers, 2, 5).slice(4), ["HEAD 1", "HEAD 3"]);
  });

  it("goes down to multiples, from widths that are none and that differ", () => {
    const uneven = [groupsOf(0, { CHANNEL: [5, 4, 3, 2, 1] }), groupsOf(1, { CHANNEL: [1, 1, 1, 1, 1, 1, 1] })].flat();
    assert.equal(uniform(uneven, 4, 1).length, 1 + 3);
    assert.equal(uniform(uneven, 3, 1).length, 2 + 4);
  });

  it("ends where one layer can spare none, and leaves out branches that went as a whole", () => {
    assert.deepEqual(uniform([groupsOf(0, { HEAD: [1, 1] }), groupsOf(1, { HEAD: [1] })].flat(), 1, 9), ["HEAD 0"]);
    const mixed = [groupsOf(0, { ATTENTION: [0], HEAD: [1, 1] }), groupsOf(1, { HEAD: [3, 2] })].flat();
    assert.deepEqual(uniform(mixed, 1, 9), ["ATTENTION 0", "HEAD 3"]);
  });

  it("passes over what the model cannot do without, and goes on with the rest", () => {
    const wholes = [0, 1].flatMap((l) => groupsOf(l, { ATTENTION: [l], MLP: [2 + l] }));
    const selection = new Selection(9, 1000, (gone) => !(gone.has("a0") && gone.has("a1")));
    takeUniform(selection, wholes, { headMultiple: 1, channelMultiple: 1 });
    assert.deepEqual(named(selection.taken), ["ATTENTION 0", "MLP 0", "MLP 1"]);
  });

  it("stops when the target is met", () => {
    assert.equal(uniform(layers, 2, 99, 20).length, 4);
  });
});
