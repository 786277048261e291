import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { backward, gradientOf } from "../../src/autodiff/backward.ts";
import { signedCrossEntropy } from "../../src/autodiff/loss.ts";
import { finished } from "../../src/finished.ts";
import { exportPruned } from "../../src/models/export.ts";
import { GraphBuilder, type Value } from "../../src/onnx/builder.ts";
import { decode } from "../../src/onnx/decode.ts";
import { removeDead } from "../../src/onnx/edit.ts";
import type { Model, Tensor } from "../../src/onnx/ir.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { writeData } from "../../src/onnx/write-data.ts";
import { gradientDifferences } from "../../src/pruning/evidence/gradients.ts";
import { openGroups, type Whole } from "../../src/pruning/open-groups.ts";
import { seededRandom } from "../../src/random.ts";
import { specialise } from "../../src/runtime/specialise.ts";
import { bindingOf } from "../../src/signature/binding.ts";
import { discover } from "../../src/structures/discover.ts";
import { divide, removeStructures } from "../../src/structures/divide.ts";
import { type StructureId, structureKinds } from "../../src/structures/structure.ts";
import { nextTokens } from "../../src/text/view.ts";
import { evaluate } from "../support/finite-differences.ts";
import { exported, graphDigest, pruneAhab, quick, timeless } from "../support/loop.ts";
import { readModel, testModels } from "../support/models.ts";
import { squaresAlong } from "../support/norms.ts";
import { scratch } from "../support/scratch.ts";

// ahab: 12 layers, H 96, K 2 groups of two queries of D 24, F 256.
const { folder } = testModels[0] as (typeof testModels)[0];
const model = readModel(folder);
const read = tensorReader(".");
const ofKind = (removed: readonly StructureId[], kind: string) => removed.filter((r) => r.kind === kind);

/** Of ahab: which structures of a kind are left in each layer. */
const left = (removed: readonly StructureId[], kind: "HEAD" | "CHANNEL", each: number) =>
  Array.from({ length: 12 }, (_, layer) => each - ofKind(removed, kind).filter((r) => Math.floor(r.index / each) === layer).length);

describe("evidence of heads and channels", () => {
  it("is the norm of their slices of the plain gradient, also when others went before them", async () => {
    const found = discover(model, read);
    const divided = await divide(model, found.anatomy, found.parameters);
    const whole: Whole = { ...found, divided };
    const removed: StructureId[] = [
      { kind: "HEAD", index: 0 },
      { kind: "CHANNEL", index: 3 },
      { kind: "CHANNEL", index: 10 },
      { kind: "MLP", index: 5 },
    ];
    const now = await removeStructures(model, removed, read, whole);
    const groups = openGroups(whole, removed, now, { ...quick, structureKinds });
    const view = (from: number) => Array.from({ length: 13 }, (_, t) => (from + 37 * t * t) % 2048);
    const scoring = gradientDifferences(
      {
        model: now,
        folder,
        scratch,
        read,
        whole,
        toRemove: 0,
        random: (stream) => seededRandom(0, stream),
        samples: [{ unperturbed: nextTokens(view(5)), perturbed: nextTokens(view(900)) }],
        sequenceLength: 12,
        gradientBy: "WEIGHTS",
        executionProvider: "CPU",
      },
      groups,
    );
    const { evidence } = await finished(scoring);
    const norm = (kind: string, index: number): number => {
      const g = groups.findIndex((group) => group.kind === kind && group.indexes.includes(index));
      return evidence[g]?.[groups[g]?.indexes.indexOf(index) as number]?.[0] as number;
    };

    // The plain gradients of the smaller model's weights.
    const parameters = [...found.parameters.keys()].filter((p) => now.graph.initializers.has(p));
    const typed = await specialise(now, bindingOf(now, 2, 12, parameters), ["logits"]);
    const b = new GraphBuilder(typed, "gradient");
    const inputs = [b.input("targets", "int64", [2, 12]), b.input("weights", "float32", [2, 12])] as const;
    const { dLogits } = signedCrossEntropy(b, b.value("logits"), ...inputs);
    const { uses } = backward(b, new Map([["logits", dLogits]]), parameters);
    const outputs = b.build(parameters.map((name) => gradientOf(b, b.value(name), uses.get(name)) as Value));
    const ids = (shift: number) => [view(5), view(900)].flatMap((v) => v.slice(shift, 12 + shift)).map(BigInt);
    const integers = (values: bigint[]) => ({ dataType: "int64" as const, dims: [2, 12], data: BigInt64Array.from(values) });
    const weights = Float32Array.from({ length: 24 }, (_, i) => (i < 12 ? 1 : -1) / 12);
    const gradients = await evaluate(
      { ...outputs, graph: removeDead(outputs.graph) },
      { input_ids: integers(ids(0)), targets: integers(ids(1)), weights: { dataType: "float32", dims: [2, 12], data: weights } },
    );
    const squares = (name: string, axis: number | null): number[] => {
      const dims = now.graph.initializers.get(name)?.dims as number[];
      return squaresAlong(gradients[parameters.indexOf(name)] as Float32Array, dims, axis);
    };
    const sum = (values: readonly number[]) => values.reduce((a, c) => a + c, 0);
    const close = (actual: number, square: number, what: string) =>
      assert.ok(
        square > 0 && Math.abs(actual - Math.sqrt(square)) < 1e-4 * Math.sqrt(square),
        `${what}: ${actual}, not ${Math.sqrt(square)}`,
      );

    // The names of a layer's weights, from the groups themselves; what of them a head or channel has, from the widths by hand.
    const named = (kind: string, layer: number) => divided.groups.find((g) => g.kind === kind && g.layer === layer)?.parameters ?? [];
    const dimsOf = (name: string) => now.graph.initializers.get(name)?.dims as [number, number];
    // The second KV group of layer 3 has the second half of each projection.
    const halves = named("HEAD", 3).flatMap((p) => {
      const [rows, columns] = dimsOf(p);
      const axis = rows === 96 && columns !== 96 ? 1 : null;
      return axis === null ? [] : squares(p, axis).slice(columns / 2);
    });
    const square = named("HEAD", 3).filter((p) => dimsOf(p)[0] === 96 && dimsOf(p)[1] === 96);
    assert.equal(square.length, 2, "queries and output are both 96 x 96");
    const projections = square.map((p) => {
      // The output projection is the one that reads the attention: what its rows are of, the queries' columns are of.
      const reader = divided.groups.find((g) => g.kind === "HEAD" && g.layer === 3)?.slices.find((s) => s.parameter === p);
      return sum(squares(p, reader?.axis as number).slice(48));
    });
    close(norm("HEAD", 7), sum([...halves, ...projections]), "HEAD 7");
    // Channel 11 of layer 0 comes tenth once two before it are gone, whichever way its matrices lie.
    const tenth = named("CHANNEL", 0).map((p) => squares(p, dimsOf(p).indexOf(254))[9] as number);
    assert.equal(tenth.length, 3);
    close(norm("CHANNEL", 11), sum(tenth), "CHANNEL 11");
    // Wholes are as ever, whether or not slices of their weights are asked for too.
    const mlp = found.structures.find((s) => s.kind === "MLP" && s.index === 0);
    close(norm("MLP", 0), sum((mlp?.parameters ?? []).flatMap((p) => squares(p, null))), "MLP 0");
    assert.ok(!groups.some((g) => g.kind === "CHANNEL" && g.layer === 5), "what went with its branch is closed");
    assert.ok(!groups.some((g) => g.kind === "HEAD" && g.layer === 0), "and so is the last head of a layer");
  });
});

describe("pruning by heads and channels", () => {
  it("counts as candidates those of groups that can spare any", async () => {
    const options = { structureKinds: ["HEAD", "CHANNEL"] as const, minKeepRatio: 0.9, uniform: { headMultiple: 1, channelMultiple: 1 } };
    const { events } = await pruneAhab({ ...options, targetRatio: 0.01, structuresPerIteration: 0.5 });
    const [started] = events;
    assert.ok(started?.type === "STARTED" && started.candidates === 12 * 256, JSON.stringify(started));
  });

  it("reaches the target, repeats, and goes on after any iteration as if never stopped, byte for byte", async () => {
    const options = { structureKinds: ["HEAD", "CHANNEL"] as const, targetRatio: 0.15, normalization: "KIND_MEAN" as const };
    const whole = await pruneAhab({ ...options, structuresPerIteration: 0.1 });
    const [started] = whole.events;
    assert.ok(started?.type === "STARTED" && started.candidates === 12 * (2 + 256));
    assert.deepEqual(
      whole.iterations.slice(0, -1).map((i) => i.removed.length),
      whole.iterations.slice(0, -1).map(() => Math.floor(0.1 * 12 * 258)),
    );
    const last = whole.events.at(-1);
    assert.ok(last?.type === "FINISHED" && last.removedRatio >= 0.15 && last.removedRatio < 0.16, JSON.stringify(last));
    const removed = whole.removed.reduce((n, r) => n + r.parameterCount, 0);
    assert.equal(last.parameterCount, 1_415_520 - removed);
    assert.ok(ofKind(whole.removed, "HEAD").length > 0 && ofKind(whole.removed, "CHANNEL").length > 0, "both kinds are taken");
    assert.equal(new Set(whole.removed.map((r) => `${r.kind} ${r.index}`)).size, whole.removed.length, "nothing goes twice");

    const resumed = await pruneAhab({ ...options, structuresPerIteration: 0.1 }, whole.iterations.slice(0, 1));
    assert.deepEqual(resumed.removed, whole.removed);
    assert.equal(await graphDigest(resumed.removed), await graphDigest(whole.removed));
  });

  it("keeps the share of each layer that must stay, and one of each in any case", async () => {
    const options = { structureKinds: ["CHANNEL"] as const, structuresPerIteration: 0.2, targetRatio: 0.25 };
    const { removed } = await pruneAhab({ ...options, minKeepRatio: 0.5 });
    const kept = left(removed, "CHANNEL", 256);
    assert.ok(Math.min(...kept) >= 128, `${kept}`);
    await assert.rejects(pruneAhab({ ...options, minKeepRatio: 0.9 }), { code: "TARGET_UNREACHABLE" });
    await assert.rejects(pruneAhab({ structureKinds: ["HEAD"], targetRatio: 0.9, structuresPerIteration: 12 }), (error: Error) => {
      assert.match(error.message, /11\.7% of the parameters are gone/, "one of two heads of each layer");
      return true;
    });
  });

  it("keeps layers alike if asked to, says so in config.json, and else lists the width of each", async () => {
    const config = (removed: readonly StructureId[]) =>
      exported(removed, async (place) => JSON.parse(await readFile(join(place, "config.json"), "utf8")));
    const options = { structureKinds: ["HEAD", "CHANNEL"] as const, structuresPerIteration: 0.1, targetRatio: 0.3 };
    const { removed } = await pruneAhab({ ...options, normalization: "KIND_MEAN", uniform: { headMultiple: 1, channelMultiple: 48 } });
    const [heads, channels] = [left(removed, "HEAD", 2), left(removed, "CHANNEL", 256)];
    assert.equal(new Set(heads).size, 1);
    assert.equal(new Set(channels).size, 1);
    assert.ok((channels[0] as number) < 256 && (channels[0] as number) % 48 === 0, `${channels}`);
    const uniform = await config(removed);
    assert.equal(uniform.num_hidden_layers, 12);
    assert.deepEqual([uniform.num_key_value_heads, uniform.intermediate_size], [heads[0], channels[0]]);
    assert.deepEqual(uniform.espalier.layers[4], {
      layer: 4,
      kinds: ["ATTENTION", "MLP"],
      heads: heads[0],
      channels: channels[0],
      registered: 4,
    });
    const halved = await config(Array.from({ length: 12 }, (_, layer): StructureId => ({ kind: "HEAD", index: 2 * layer + (layer % 2) })));
    assert.deepEqual([halved.num_attention_heads, halved.num_key_value_heads, halved.head_dim], [2, 1, 24]);

    const uneven = await config([
      { kind: "HEAD", index: 1 },
      { kind: "CHANNEL", index: 256 },
      { kind: "ATTENTION", index: 2 },
    ]);
    assert.deepEqual([uneven.num_hidden_layers, uneven.num_key_value_heads, uneven.intermediate_size], [11, 2, 256]);
    assert.deepEqual(uneven.espalier.layers.slice(0, 3), [
      { layer: 0, kinds: ["ATTENTION", "MLP"], heads: 1, channels: 256, registered: 0 },
      { layer: 1, kinds: ["ATTENTION", "MLP"], heads: 2, channels: 255, registered: 1 },
      { layer: 2, kinds: ["MLP"], channels: 256, registered: 2 },
    ]);
  });
});

describe("weights beside the graph", () => {
  let folder: string;
  let base: Model;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "espalier-test-"));
    const graph = await writeData(model.graph, (t) => t.dims.length === 2, ".", join(folder, "weights.bin"));
    base = { ...model, graph };
  });
  after(() => rm(folder, { recursive: true }));

  it("go into a file beside the smaller graph when they are cut", async () => {
    const removed: StructureId[] = [
      { kind: "HEAD", index: 5 },
      ...Array.from({ length: 50 }, (_, i): StructureId => ({ kind: "CHANNEL", index: 100 + 3 * i })),
    ];
    const destination = join(folder, "child");
    await exportPruned({ model: base, folder, files: [{ path: "model.onnx" }, { path: "weights.bin" }], removed, destination });
    const child = decode(await readFile(join(destination, "model.onnx")));
    const expected = await removeStructures(model, removed, read);
    const readChild = tensorReader(destination);
    for (const [name, t] of expected.graph.initializers) {
      const own = child.graph.initializers.get(name) as Tensor;
      assert.deepEqual(own.dims, t.dims);
      assert.equal(own.data.kind, base.graph.initializers.get(name)?.data.kind ?? "inline", name);
      assert.deepEqual(Buffer.from(readChild(own)), Buffer.from(read(t)), name);
    }
  });

  it("score and are removed as those inside it, also once they were cut", async () => {
    const options = { structureKinds: ["HEAD", "CHANNEL"] as const, structuresPerIteration: 100, targetRatio: 0.04 };
    const inside = await pruneAhab(options);
    assert.ok(inside.iterations.length >= 2);
    const beside = await pruneAhab(options, [], { model: base, folder });
    assert.deepEqual(timeless(beside.events), timeless(inside.events));
  });
});
