import { backward, gradientOf } from "../../autodiff/backward.ts";
import { crossEntropy, signedCrossEntropy } from "../../autodiff/loss.ts";
import { EspalierError } from "../../errors.ts";
import { GraphBuilder, type Value } from "../../onnx/builder.ts";
import { replaceUses, sortFromOutputs } from "../../onnx/edit.ts";
import { type Node, sizeOf, type TypedGraph } from "../../onnx/ir.ts";
import type { TensorValue } from "../../runtime/session.ts";
import { isDivided } from "../../structures/structure.ts";
import type { View } from "../../text/view.ts";
import { expertOutputs, type OpenGroup } from "../open-groups.ts";
import { batchOf, runOn } from "./batch.ts";
import type { Scene } from "./evidence.ts";
import { judgedGraph } from "./judged.ts";
import { lastProductsOf } from "./last-products.ts";
import { openScoring } from "./open-scoring.ts";
import { type ResidualStream, residualStreamOf } from "./residual-stream.ts";

/** A model in which every open structure can be left out row by row, without a new session. */
export interface MaskedModel {
  /** Rows of one run. */
  readonly rows: number;
  /** Structures that a mask speaks of, group after group. */
  readonly structures: number;
  /**
   * @param texts up to `rows`
   * @param masks for each text, one number a structure: 1 leaves it as it is, 0 leaves it out
   * @returns each text's mean loss, in nats per token
   */
  losses(texts: readonly View[], masks: readonly ArrayLike<number>[]): Promise<number[]>;
  /**
   * The same, with the gradient of each text's loss by its own mask, one number a structure; of a model that was opened for gradients only.
   */
  gradients(
    texts: readonly View[],
    masks: readonly ArrayLike<number>[],
  ): Promise<{ readonly losses: number[]; readonly gradients: readonly Float32Array[] }>;
  close(): Promise<void>;
}

/**
 * Multiplies what structures give by masks, which are an input: branches where they are added to the residual stream, heads and channels
 * where their branch's last product reads them. An expert that is left out is chosen by no token: others take its place, as when it is cut.
 * Gradients by its mask are those of what it gives, for a choice has none.
 *
 * @param differentiable whether gradients by the masks are wanted too, for which the graph gets a backward pass
 * @throws EspalierError as `specialise`; UNSUPPORTED_OPERATOR if a node on the way has no gradient rule
 */
export async function openMasked(scene: Scene, groups: readonly OpenGroup[], rows: number, differentiable = false): Promise<MaskedModel> {
  const { sequenceLength: T } = scene;
  const { branches, giving } = residualStreamOf(scene, groups);
  const outputs = [
    ...branches.flatMap((own) => own.map((b) => b.output)),
    ...groups.flatMap((g) => (differentiable ? expertOutputs(g) : g.experts ? [g.experts.found.scores] : [])),
  ];
  const model = giving(outputs);
  const { typed, answer: logits, signature, places } = await judgedGraph(scene, model, rows, outputs);
  const structures = groups.reduce((n, g) => n + g.indexes.length, 0);
  const masked = withMasks(typed, logits, groups, branches, [rows, T, structures], differentiable);

  const b = new GraphBuilder(masked, "loss");
  const [targets, weights] = [b.input("loss/targets", "int64", [rows, places]), b.input("loss/weights", "float32", [rows, places])];
  const { losses, gradient } = differentiable
    ? byMask(b, logits, targets, weights)
    : { ...crossEntropy(b, b.value(logits), targets, weights), gradient: null };
  const session = await openScoring(scene, model, b.build(gradient ? [losses, gradient] : [losses]));
  const run = async (texts: readonly View[], masks: readonly ArrayLike<number>[]) => {
    const feeds = batchOf(signature, texts, [rows, T], places);
    const mask = new Float32Array(rows * (structures + 1)).fill(1);
    for (const [r, own] of masks.entries()) mask.set(Array.from(own), r * (structures + 1));
    const out = await runOn(session, {
      ...feeds.ids,
      [targets.name]: feeds.targets,
      [weights.name]: feeds.weights,
      [maskInput]: { dataType: "float32", dims: [rows, structures + 1], data: mask },
    });
    const floats = (name: string) => (out[name] as TensorValue<Float32Array>).data;
    return { floats, losses: Array.from(floats(losses.name).subarray(0, texts.length)) };
  };
  return {
    rows,
    structures,
    losses: async (texts, masks) => (await run(texts, masks)).losses,
    async gradients(texts, masks) {
      const { floats, losses } = await run(texts, masks);
      const found = floats(gradient?.name ?? "");
      const width = structures + 1;
      return { losses, gradients: texts.map((_, r) => found.slice(r * width, r * width + structures)) };
    },
    close: () => session.close(),
  };
}

/** The losses, and their gradient by the mask [B, S + 1]: a row's loss depends on its own row alone. */
function byMask(b: GraphBuilder, logits: string, targets: Value, weights: Value): { readonly losses: Value; readonly gradient: Value } {
  const { losses, dLogits } = signedCrossEntropy(b, b.value(logits), targets, weights);
  const { uses } = backward(b, new Map([[logits, dLogits]]), [maskInput]);
  const keep = b.value(maskInput);
  return { losses, gradient: gradientOf(b, keep, uses.get(maskInput)) ?? b.mul(keep, b.scalar(0)) };
}

/** [B, S + 1]: a column a structure, and one of ones for what is no structure's. */
const maskInput = "mask/keep";

function withMasks(
  typed: TypedGraph,
  logits: string,
  groups: readonly OpenGroup[],
  branches: ResidualStream["branches"],
  [rows, T, structures]: readonly [number, number, number],
  differentiable: boolean,
): TypedGraph {
  const b = new GraphBuilder(typed, "mask");
  const keep = b.input(maskInput, "float32", [rows, structures + 1]);
  /** A value [B, T, W], or [B * T, W], times the columns [B, W] or [B, 1] of the mask. */
  const times = (v: Value, columns: readonly number[]): Value => {
    const width = columns.length;
    const mask = b.reshape(b.gather(keep, b.ints(columns), 1), [rows, 1, width]);
    return b.reshape(b.mul(b.reshape(v, [rows, T, sizeOf(v.shape) / (rows * T)]), mask), v.shape);
  };
  /** The scores of experts [B * T, E]: no token chooses those that are left out. */
  const barred = (v: Value, columns: readonly number[]): Value => {
    const width = columns.length;
    const bar = b.mul(b.sub(b.gather(keep, b.ints(columns), 1), b.scalar(1)), b.scalar(-unchosen));
    return b.reshape(b.add(b.reshape(v, [rows, T, width]), b.reshape(bar, [rows, 1, width])), v.shape);
  };
  /** What experts give side by side [E, B * T, W]. */
  const timesEach = (v: Value, columns: readonly number[]): Value => {
    const width = columns.length;
    const mask = b.reshape(b.transpose(b.gather(keep, b.ints(columns), 1)), [width, rows, 1]);
    return b.reshape(b.mul(b.reshape(v, [width, rows, sizeOf(v.shape) / (rows * width)]), mask), v.shape);
  };
  const lastProduct = lastProductsOf(typed, groups);
  const inputs = new Map<Node, string>();
  const values = new Map<string, string>();
  const made: Value[] = [];
  let column = 0;
  for (const [g, group] of groups.entries()) {
    for (const { output } of isDivided(group) ? [] : (branches[g] ?? [])) {
      const v = times(b.value(values.get(output) ?? output), [column]);
      values.set(output, v.name);
      made.push(v);
    }
    for (const [name, masked] of maskedExperts(group, column)) {
      values.set(name, masked.name);
      made.push(masked);
    }
    for (const part of isDivided(group) && !group.experts ? group.parts : []) {
      const product = lastProduct(part);
      if (!product) continue;
      const columns = [...part.owners].map((place) => (place < 0 ? structures : column + place));
      const v = times(b.value(inputs.get(product.node) ?? product.input), columns);
      inputs.set(product.node, v.name);
      made.push(v);
    }
    column += group.indexes.length;
  }
  const built = b.build([b.value(logits), ...made]);
  const own = new Set(typed.graph.nodes.flatMap((n) => n.outputs));
  const isForward = (node: Node) => node.outputs.some((o) => own.has(o));
  const byOutput = new Map([...inputs].map(([node, input]) => [node.outputs[0], input]));
  const forward = replaceUses({ ...built.graph, nodes: built.graph.nodes.filter(isForward) }, values).nodes.map((node) => {
    const input = byOutput.get(node.outputs[0]);
    return input === undefined ? node : { ...node, inputs: [input, ...node.inputs.slice(1)] };
  });
  const nodes = [...forward, ...built.graph.nodes.filter((n) => !isForward(n))];
  const graph = sortFromOutputs({ ...built.graph, nodes, outputs: built.graph.outputs.slice(0, 1) });
  return { ...built, graph };

  /** The values that masks of experts change, from the given column on. */
  function maskedExperts({ experts, indexes, kind, layer }: OpenGroup, column: number): [name: string, masked: Value][] {
    if (!experts) return [];
    const { own, found } = experts;
    const columns = indexes.map((_, place) => column + place);
    if (!differentiable) {
      const chooser = typed.graph.nodes.find((n) => n.outputs[1] === found.places);
      const isReadAlone = !typed.graph.nodes.some((n) => n.inputs.includes(chooser?.outputs[0] ?? ""));
      // Where experts are chosen by other numbers than what they are weighed by, a bar before these is not one to the choice.
      const barredAt = [found.scores, ...(chooser && isReadAlone ? [chooser.inputs[0] as string] : [])];
      return [...new Set(barredAt)].map((name) => [name, barred(b.value(name), columns)]);
    }
    if (own) return own.map(({ term }, place) => [term, times(b.value(term), [column + place])]);
    if (found.together?.axis === 0) return [[found.together.value, timesEach(b.value(found.together.value), columns)]];
    throw new EspalierError("UNSUPPORTED_PARAMETER_USE", `what the ${kind}s of layer ${layer} give cannot be told apart`, { kind, layer });
  }
}

/** What is added to a score that is not to be among the highest. */
const unchosen = -1e30;
