import { transposed } from "../algebra/vectors.ts";
import { EspalierError } from "../errors.ts";
import { told } from "../finished.ts";
import { largest } from "../large-lists.ts";
import { type Model, sizeAt } from "../onnx/ir.ts";
import { tensorReader } from "../onnx/read-tensor.ts";
import { floatsOf, floatTensor } from "../onnx/tensors.ts";
import { verify } from "../onnx/verify.ts";
import { mean } from "../pruning/mean.ts";
import type { Whole } from "../pruning/open-groups.ts";
import { objectiveFor, type Pruned, type PruningJob } from "../pruning/prune.ts";
import { resolveProvider } from "../runtime/providers.ts";
import { entriesOf } from "../structures/divide.ts";
import { ownersOf } from "../structures/entries.ts";
import { isDivided } from "../structures/structure.ts";
import { calibrationSamples } from "../text/calibration.ts";
import type { View } from "../text/view.ts";
import { inputGrams } from "./grams.ts";
import { type LastProduct, lastProducts } from "./last-products.ts";
import { refit } from "./refit.ts";

/**
 * So many tokens an input has at least, and so many it gets, where an input is a channel that a product sums over. Of the bundled model, by
 * heads and channels, 8 win back 17% of the lost nats, 16 win 20%, 32 win 22% and 128 win 26%.
 */
const tokensPerInput = { least: 4, drawn: 16 };
/** Of all texts, those that are held back are one in so many. */
const heldBackOneIn = 5;
/** Of all grams that are summed in one pass over the texts, in bytes. */
const mostGramBytes = 512 * 2 ** 20;

/** How far it is: products that have their new weights. */
export interface RestoringEvent {
  readonly type: "RESTORING";
  readonly productsDone: number;
  readonly productsTotal: number;
}

export interface Restored {
  readonly pruned: Model;
  /** What came of it, for people. */
  readonly notes: readonly string[];
}

/** The texts: those that are solved for, then those that are held back. */
export interface RestoringTexts {
  readonly own: readonly View[];
  readonly heldBack: readonly View[];
}

/**
 * Draws the texts that a model's widest product needs, and a quarter more. Beyond the run's own samples if need be: they cost a forward
 * pass each.
 *
 * @throws EspalierError CALIBRATION_TOO_SHORT if all documents together have fewer than four tokens an input
 */
export function restoringTexts(job: PruningJob, { divided }: Whole): RestoringTexts {
  const { model, tokenizer, documents, options } = job;
  const { sequenceLength, samples } = options;
  const widest = largest([0, ...lastProducts(model, divided?.groups ?? []).map(({ tensor, axis }) => sizeAt(tensor.dims, axis))]);
  const needed = tokensPerInput.least * widest;
  let there = 0;
  for (const document of documents) if (there < needed) there += tokenizer.encode(document).length;
  if (there < needed)
    throw new EspalierError(
      "CALIBRATION_TOO_SHORT",
      `LEAST_SQUARES needs ${needed} tokens, four for each of the ${widest} inputs of the model's widest product; the dataset has ${there}`,
      { neededTokens: needed, tokens: there },
    );
  const own = Math.max(samples, Math.ceil((tokensPerInput.drawn * widest) / sequenceLength));
  const all = own + Math.ceil(own / (heldBackOneIn - 1));
  const texts = calibrationSamples(tokenizer, documents, { ...options, samples: all });
  const { plain } = objectiveFor(job);
  const ids = texts.map(plain);
  return { own: ids.slice(0, own), heldBack: ids.slice(own) };
}

/**
 * Wins back by closed form what can be had so: after heads and channels are gone, each product that summed over them gets the weights
 * by which those that stay give best what all gave (`refit`). No gradient, no training, and the graph stays as it is.
 */
export async function* leastSquares(
  job: PruningJob,
  texts: RestoringTexts,
  { removed, pruned, whole }: Pruned,
): AsyncGenerator<RestoringEvent, Restored> {
  const { model, folder, scratch, options } = job;
  const read = tensorReader(folder);
  const executionProvider = await resolveProvider(options.executionProvider);
  const scene = {
    model,
    folder,
    scratch,
    whole,
    sequenceLength: options.sequenceLength,
    executionProvider,
    judge: objectiveFor(job).judge,
  };
  const cuts = cutsOf(model, pruned, whole, removed);
  const initializers = new Map(pruned.graph.initializers);
  const shares: { readonly cut: number; readonly left: number }[] = [];
  const event = (): RestoringEvent => ({ type: "RESTORING", productsDone: shares.length, productsTotal: cuts.length });
  for (const together of passes(cuts)) {
    const parameters = together.map((c) => c.parameter);
    const grams = yield* told(inputGrams(scene, [...texts.own, ...texts.heldBack], texts.own.length, parameters), event);
    for (const { parameter, tensor, axis, kept } of together) {
      const gram = grams.get(parameter);
      if (!gram) throw new Error(`no product reads ${parameter}`);
      const values = floatsOf(tensor, read(tensor));
      const found = refit(turned(values, tensor.dims, axis), sizeAt(tensor.dims, axis), kept, gram);
      shares.push(found);
      if (found.rows) {
        const dims = tensor.dims.map((size, i) => (i === axis ? kept.length : size));
        const rows = Float32Array.from(found.rows);
        initializers.set(
          parameter,
          floatTensor(parameter, tensor.dataType, dims, turned(rows, axis === 0 ? dims : [...dims].reverse(), axis)),
        );
      }
      yield event();
    }
  }
  const result = { ...pruned, graph: { ...pruned.graph, initializers } };
  verify(result);
  return { pruned: result, notes: cuts.length === 0 ? [] : [noteOf(shares)] };
}

const percent = (values: readonly number[]): string => `${(100 * mean(values)).toFixed(1)}%`;

function noteOf(shares: readonly { readonly cut: number; readonly left: number }[]): string {
  const kept = shares.filter(({ cut, left }) => left === cut).length;
  return (
    `least squares: of what its ${shares.length} cut products gave on texts that were held back, ${percent(shares.map((s) => s.cut))} was lost by the cut, ` +
    `and ${percent(shares.map((s) => s.left))} with the weights that were solved for${kept > 0 ? `; ${kept} did no better, and were left as they were cut` : ""}`
  );
}

/** A matrix with its inputs as rows: as it is, or turned. Turns back as well. */
function turned(values: Float32Array, [rows = 0, columns = 0]: readonly number[], axis: number): Float32Array {
  return axis === 0 ? values : transposed(values, rows, columns);
}

interface Cut extends LastProduct {
  /** The inputs that stay, in order. */
  readonly kept: readonly number[];
}

/** The products of which some inputs are gone and some stay, and nothing else. */
function cutsOf(model: Model, pruned: Model, { divided }: Whole, removed: Pruned["removed"]): Cut[] {
  const groups = divided?.groups ?? [];
  const gone = new Map(lastProducts(model, groups).map((p) => [p.parameter, { ...p, inputs: new Set<number>() }]));
  for (const [{ leaf, slices }, entries] of entriesOf(groups, removed.filter(isDivided)))
    for (const { parameter, axis, of } of slices) {
      const product = gone.get(parameter);
      if (product?.axis !== axis) continue;
      for (const [at, owner] of ownersOf(of, leaf, new Map()).entries()) if (entries.has(owner)) product.inputs.add(at);
    }
  return [...gone.values()].flatMap(({ inputs, ...product }) => {
    const { tensor, axis, parameter } = product;
    const left = pruned.graph.initializers.get(parameter);
    if (inputs.size === 0 || left?.dims[1 - axis] !== tensor.dims[1 - axis]) return [];
    const kept = Array.from({ length: sizeAt(tensor.dims, axis) }, (_, i) => i).filter((i) => !inputs.has(i));
    return [{ ...product, kept }];
  });
}

/** Products by the passes over the texts in which their grams are summed. */
function passes(cuts: readonly Cut[]): Cut[][] {
  const found: Cut[][] = [];
  let room = 0;
  for (const cut of cuts) {
    // Two sums in float64, and what a run gives in float32.
    const bytes = 20 * sizeAt(cut.tensor.dims, cut.axis) ** 2;
    if (bytes > room) {
      found.push([]);
      room = mostGramBytes;
    }
    found.at(-1)?.push(cut);
    room -= bytes;
  }
  return found;
}
