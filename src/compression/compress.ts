import { join } from "node:path";
import type { Algebra } from "../algebra/algebra.ts";
import { RuntimeAlgebra } from "../algebra/runtime-algebra.ts";
import { transposed } from "../algebra/vectors.ts";
import { EspalierError } from "../errors.ts";
import { largest } from "../large-lists.ts";
import { dataTypes, type Model, sizeOf, type ValueInfo } from "../onnx/ir.ts";
import { type TensorReader, tensorReader } from "../onnx/read-tensor.ts";
import { floatsOf, floatTensor } from "../onnx/tensors.ts";
import { toFloat32 } from "../onnx/to-float32.ts";
import { verify } from "../onnx/verify.ts";
import { resolveProvider } from "../runtime/providers.ts";
import { specialise } from "../runtime/specialise.ts";
import { bindingOf } from "../signature/binding.ts";
import { integerFeed } from "../signature/feeds.ts";
import { signatureOf } from "../signature/signature.ts";
import { discover } from "../structures/discover.ts";
import { calibrationSamples, view } from "../text/calibration.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { bytesOfPacked, codedBy, pack, unpack } from "./codes.ts";
import type { CompressedProduct, CompressionEvent, CompressionSummary } from "./events.ts";
import type { Compressed, CompressionMethod } from "./methods/method.ts";
import type { CompressionOptions } from "./options.ts";
import { relativeError } from "./relative-error.ts";
import { type Coded, withCodes } from "./rewrite.ts";
import { Stages, type TextFeeds } from "./stages.ts";
import { type DoneStep, type Kept, readStep, writeStep } from "./step-file.ts";
import { headOf, type Step, shapeOf, type Target, targetsOf, untied } from "./targets.ts";

export interface CompressionJob {
  /** The model as it is stored, and the folder that its external data lies in. */
  readonly model: Model;
  readonly folder: string;
  readonly tokenizer: Tokenizer;
  /** Texts to take statistics of; none for a method that asks for none. */
  readonly documents: readonly string[];
  readonly method: CompressionMethod;
  readonly options: CompressionOptions;
  /** A folder for files of steps. */
  readonly scratch: string;
  /** Files of the steps that are done, in order. */
  readonly done: readonly string[];
}

export interface Compression {
  readonly compressed: Model;
  readonly summary: CompressionSummary;
  /** For people. */
  readonly notes: readonly string[];
}

/** Of what lies outside of the layers. Eight bits evenly about 0 lose as little as others do, and are those of GGUF's Q8_0. */
const outerOf = (options: CompressionOptions): CompressionOptions =>
  options.headBits === 4 ? options : { ...options, scheme: "INT8", symmetric: true };

/** Tokens of one run. */
const tokensPerRun = 1024;

/**
 * Compresses a model step by step, in the order of its graph. What products are given is that of the part that is compressed already, so that each makes up for
 * what those before it got wrong. The same job gives the same bytes, whatever of it is done already.
 *
 * @throws EspalierError NOTHING_TO_COMPRESS; CALIBRATION_TOO_SHORT if the texts have fewer tokens than a product has inputs; what `specialise` and
 *   `calibrationSamples` throw
 */
export async function* compress(job: CompressionJob): AsyncGenerator<CompressionEvent, Compression> {
  const { folder, method, options, scratch, done } = job;
  const executionProvider = await resolveProvider(options.executionProvider);
  const read = tensorReader(folder);
  const found = discover(job.model, read);
  const wide = toFloat32(codedBy(options).within ? untied(job.model, found.anatomy.flow.stream) : job.model);
  const matrices = [...wide.graph.initializers.values()].filter((t) => t.dims.length === 2).map((t) => t.name);
  const { sequenceLength: T } = options;
  const B = Math.max(1, Math.floor(tokensPerRun / T));
  const typed = await specialise(wide, bindingOf(wide, B, T, matrices), [found.anatomy.logits]);
  const { steps, left } = targetsOf(wide, typed, found, options);
  if (steps.length === 0)
    throw new EspalierError(
      "NOTHING_TO_COMPRESS",
      `the model has no product whose weights can become ${options.scheme}${left[0] ? `: of ${left[0].parameter}, ${left[0].reason}` : ""}`,
    );
  // Where all is done there is nothing to look at.
  const reads = method.needsGram && done.length < steps.length;
  const { batches, tokens } = reads ? textsOf(job, signatureOf(wide.graph.inputs).tokens, B) : { batches: [], tokens: 0 };
  if (reads) requireTokens(steps, tokens, method);
  const ends = reads ? steps.flatMap((s) => s.input ?? []) : [];
  const stages = new Stages(wide, typed, folder, executionProvider, batches, ends);
  const algebra = await RuntimeAlgebra.open();
  const results: DoneStep[] = [];
  let spent = 0;
  let worked = 0;
  yield { type: "STARTED", executionProvider, steps: steps.length, tokens };
  try {
    for (const [k, step] of steps.entries()) {
      const began = performance.now();
      const file = done[k];
      const gram = step.input !== null && reads ? await stages.next(file === undefined) : null;
      const result = file === undefined ? await compressStep(job, read, step, gram, algebra) : await readStep(file);
      results.push(result);
      for (const [i, target] of reads ? step.targets.entries() : []) {
        const weights = asStored(target, result.kept[i] as Kept);
        for (const name of [target.parameter, ...(target.head ? [headOf(target.parameter)] : [])]) stages.replace(name, weights);
      }
      if (file !== undefined) continue;
      const path = join(scratch, `step-${k + 1}`);
      await writeStep(path, result);
      spent += performance.now() - began;
      worked += workOf(step);
      const estimatedMsLeft = (spent * steps.slice(k + 1).reduce((n, s) => n + workOf(s), 0)) / worked;
      yield { type: "COMPRESSED", step: k + 1, steps: steps.length, products: result.products, estimatedMsLeft, file: path };
    }
  } finally {
    await algebra.close();
  }
  const compressed = assembled(job.model, wide, steps, results);
  return { compressed, summary: summaryOf(job.model, compressed, results, left), notes: notesOf(steps, options, left) };
}

const workOf = ({ targets }: Step): number => targets.reduce((n, { tensor }) => n + sizeOf(tensor.dims), 0);

/** The texts, in batches [B, T] of the token input. */
function textsOf(
  { tokenizer, documents, options }: CompressionJob,
  tokens: ValueInfo,
  B: number,
): { batches: TextFeeds[]; tokens: number } {
  const { sequenceLength: T } = options;
  const texts = calibrationSamples(tokenizer, documents, options).map((text) => view(tokenizer, text, T));
  const batches = Array.from({ length: Math.ceil(texts.length / B) }, (_, k): TextFeeds => {
    const own = texts.slice(k * B, (k + 1) * B);
    const counted = Float32Array.from({ length: B * T }, (_, i) => ((own[Math.floor(i / T)]?.length ?? 0) > i % T ? 1 : 0));
    const ids = { [tokens.name]: integerFeed(tokens.dataType, [B, T], (i) => own[Math.floor(i / T)]?.[i % T] ?? 0) };
    return { ids, counted };
  });
  return { batches, tokens: texts.reduce((n, text) => n + text.length, 0) };
}

/** @throws EspalierError CALIBRATION_TOO_SHORT */
function requireTokens(steps: readonly Step[], tokens: number, method: CompressionMethod): void {
  const widest = largest([...steps.filter((s) => s.input !== null).flatMap((s) => s.targets.map((t) => shapeOf(t)[0])), 0]);
  if (tokens >= widest) return;
  throw new EspalierError(
    "CALIBRATION_TOO_SHORT",
    `${method.name} needs at least ${widest} tokens, one for each input of the model's widest product; the texts have ${tokens}`,
    { neededTokens: widest, tokens },
  );
}

/** The matrix of a target as [n, m], inputs as rows. */
function matrixOf(target: Target, read: TensorReader): Float32Array {
  const values = floatsOf(target.tensor, read(target.tensor));
  const [inputs, outputs] = shapeOf(target);
  return target.axis === 0 ? values : transposed(values, outputs, inputs);
}

/** A matrix [n, m] with the dims that the tensor has. */
function asStored(target: Target, kept: Kept): Float32Array {
  const values = kept.kind === "CODES" ? unpack(kept.packed) : kept.weights;
  const [inputs, outputs] = shapeOf(target);
  return target.axis === 0 ? values : transposed(values, inputs, outputs);
}

async function compressStep(
  { method, options }: CompressionJob,
  read: TensorReader,
  { targets }: Step,
  gram: Float64Array | null,
  algebra: Algebra,
): Promise<DoneStep> {
  const matrices = targets.map((t) => ({ parameter: t.parameter, outputs: shapeOf(t)[1], weights: matrixOf(t, read) }));
  const inputs = shapeOf(targets[0] as Target)[0];
  const isOuter = targets.some((t) => t.layer === null);
  const found = await method.compress({ inputs, gram, matrices }, isOuter ? outerOf(options) : options, algebra);
  const products: CompressedProduct[] = [];
  const kept: Kept[] = [];
  for (const [i, target] of targets.entries()) {
    const { result, certificate } = found[i] as Compressed;
    const { outputs, weights } = matrices[i] as (typeof matrices)[number];
    const own: Kept =
      result.kind === "BLOCKS" ? { kind: "CODES", packed: pack(result, inputs, outputs) } : { kind: "WEIGHTS", weights: result.weights };
    const now = own.kind === "CODES" ? unpack(own.packed) : own.weights;
    const { tensor, parameter, node, layer } = target;
    const bytesBefore = sizeOf(tensor.dims) * dataTypes[tensor.dataType].bytes;
    products.push({
      ...{ parameter, node: node.name, layer, inputs, outputs, bytesBefore },
      relativeError: gram ? await relativeError(algebra, gram, inputs, weights, now) : null,
      zeroRatio: zeroRatioOf(now),
      bytesAfter: own.kind === "CODES" ? bytesOfPacked(own.packed) : bytesBefore,
      certificate: certificate ?? null,
    });
    kept.push(own);
  }
  return { products, kept };
}

function zeroRatioOf(weights: Float32Array): number {
  let zeros = 0;
  for (let i = 0; i < weights.length; i++) if (weights[i] === 0) zeros++;
  return zeros / weights.length;
}

/** The model with what its matrices have become. */
function assembled(model: Model, wide: Model, steps: readonly Step[], results: readonly DoneStep[]): Model {
  const coded: Coded[] = [];
  const initializers = new Map(model.graph.initializers);
  for (const [k, { targets }] of steps.entries())
    for (const [i, target] of targets.entries()) {
      const kept = results[k]?.kept[i] as Kept;
      if (kept.kind === "CODES") coded.push({ target, packed: kept.packed });
      else {
        const { name, dataType, dims } = target.tensor;
        initializers.set(name, floatTensor(name, dataType, dims, asStored(target, kept)));
      }
    }
  if (coded.length > 0) return withCodes(wide, coded);
  const result = { ...model, graph: { ...model.graph, initializers } };
  verify(result);
  return result;
}

/** Bytes of all that a model stores. What stands twice over the same bytes counts once. */
const bytesOfModel = ({ graph }: Model): number =>
  [...new Set([...graph.initializers.values()].map((t) => t.data))].reduce(
    (n, data) => n + (data.kind === "inline" ? data.bytes.length : data.length),
    0,
  );

function summaryOf(model: Model, compressed: Model, results: readonly DoneStep[], left: CompressionSummary["left"]): CompressionSummary {
  const products = results.flatMap((r) => r.products);
  const errors = products.flatMap((p) => p.relativeError ?? []);
  const count = (of: (p: CompressedProduct) => number) => products.reduce((n, p) => n + of(p), 0);
  const weights = count((p) => p.inputs * p.outputs);
  return {
    productCount: products.length,
    left,
    meanRelativeError: errors.length > 0 ? errors.reduce((a, b) => a + b, 0) / errors.length : null,
    zeroRatio: count((p) => p.zeroRatio * p.inputs * p.outputs) / weights,
    bytesBefore: bytesOfModel(model),
    bytesAfter: bytesOfModel(compressed),
  };
}

/** What users should know of it. */
function notesOf(steps: readonly Step[], { blockSize, ...options }: CompressionOptions, left: CompressionSummary["left"]): string[] {
  const uneven = codedBy(options).within ? steps.flatMap((s) => s.targets).filter((t) => shapeOf(t)[0] % blockSize !== 0) : [];
  return [
    ...(uneven.length > 0
      ? [
          `the inputs of ${uneven.length} matrices are no multiple of ${blockSize}: their last blocks were filled up (${uneven[0]?.parameter})`,
        ]
      : []),
    ...(left.length > 0
      ? [
          `${left.length} matrices were left as they were: ${left
            .slice(0, 3)
            .map((l) => `${l.parameter} (${l.reason})`)
            .join(", ")}${left.length > 3 ? ", ..." : ""}`,
        ]
      : []),
    ...(codedBy(options).within
      ? []
      : ["its zeros are stored as numbers: they make no file smaller and no run faster (docs/compression.md)"]),
  ];
}
