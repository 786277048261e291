import { dirname } from "node:path";
import { EspalierError } from "../errors.ts";
import { append } from "../large-lists.ts";
import { atFastLevel, atFullPrecision } from "../onnx/accuracy-level.ts";
import { encode } from "../onnx/encode.ts";
import { isHalfPrecision, type Model } from "../onnx/ir.ts";
import { readModel } from "../onnx/read-model.ts";
import { toFloat32 } from "../onnx/to-float32.ts";
import { InPlaceSession } from "../runtime/in-place.ts";
import { resolveProvider } from "../runtime/providers.ts";
import { type ModelSource, openSession, type TensorValue } from "../runtime/session.ts";
import { dispatchExperts } from "../serving-graph/dispatch-experts.ts";
import { mergeProducts } from "../serving-graph/merge-products.ts";
import { servingGraph } from "../serving-graph/serving-graph.ts";
import { unfit } from "../serving-graph/two-views.ts";
import { emptyCache } from "../signature/caches.ts";
import { feedsOf } from "../signature/feeds.ts";
import { float32Logits, logitsOf } from "../signature/logits.ts";
import { signatureOf } from "../signature/signature.ts";
import { readModelConfig } from "../text/model-config.ts";
import { BatchedDecoder } from "./batched-decoder.ts";
import type { Decoder } from "./decoder.ts";
import { graphFile, LanguageModel, type LanguageModelOptions } from "./language-model.ts";
import { PlainDecoder } from "./plain-decoder.ts";

export interface DecoderOptions extends LanguageModelOptions {
  /** Sequences that are decoded together at most. */
  readonly sequences?: number;
  /** For the caches of sequences under way, and as much again at most for what prompts began with. */
  readonly cacheBytes?: number;
  /** Serve the graph as it was registered, whatever could be made of it. */
  readonly plain?: boolean;
}

/** What loading is at, in order. */
export type LoadingStage = "READING" | "REWRITING" | "CHECKING" | "OPENING";

/** The longest sequence of a model that does not say: position tables need an end. */
const assumedContext = 4096;

/** How far logits of the two graphs may lie apart, by the largest of them. */
const tolerance = 1e-3;

/** Weights, in bytes, that one thread reads sooner than it can share the work. */
const oneThreadsWork = 16 << 20;

/**
 * Opens a model for serving: rewritten, if all of its graph is understood and the rewritten one answers as the original
 * does; else as it is, one sequence at a time, with the reason as the decoder's `limitation`.
 *
 * @throws EspalierError GRAPH_MISSING, INVALID_ONNX, ONNX_RUNTIME and what LanguageModel.open throws
 */
export async function openDecoder(options: DecoderOptions, report: (stage: LoadingStage) => void = () => {}): Promise<Decoder> {
  const { folder, sequences = 16, cacheBytes = 1 << 30 } = options;
  report("READING");
  const provider = await resolveProvider(options.executionProvider);
  const [path, { contextLength }] = await Promise.all([graphFile(folder), readModelConfig(folder)]);
  try {
    if (options.plain) unfit("it was asked to be served as it is");
    if (provider === "CUDA") unfit("ONNX Runtime's grouped attention takes no float32 on CUDA");
    const stored = await readModel(path, "IN_FILE");
    const model = atFastLevel(storesNarrow(stored) ? toFloat32(stored) : stored);
    report("REWRITING");
    const { model: rewritten, ...graph } = await servingGraph(model, dirname(path), contextLength ?? assumedContext);
    const threads = options.threads ?? (weightBytes(stored) < oneThreadsWork ? 1 : 0);
    const apart = dispatchExperts(rewritten);
    const fewer = { ...apart, graph: mergeProducts(apart.graph) };
    const open = async (served: Model): Promise<BatchedDecoder> => {
      report("OPENING");
      const session = await InPlaceSession.open(served, dirname(path), { ...options, threads });
      return new BatchedDecoder(session, graph, {
        contextLength: contextLength ?? assumedContext,
        sequences,
        cacheBytes,
        prefixBytes: cacheBytes / 4,
      });
    };
    const checked = atFullPrecision(fewer);
    const decoder = await open(checked);
    try {
      report("CHECKING");
      await requireSame(decoder, { bytes: encode(atFullPrecision(model)), externalFolder: dirname(path) }, graph.vocabularySize);
    } catch (error) {
      await decoder.close();
      throw error;
    }
    if (checked === fewer) return decoder;
    await decoder.close();
    return await open(fewer);
  } catch (error) {
    // Whatever is not understood of the graph, or refused of the rewritten one, ONNX Runtime may take in the original.
    if (!(error instanceof EspalierError)) throw error;
    report("OPENING");
    return PlainDecoder.open(await LanguageModel.open(options), error.message, sequences);
  }
}

/** Of all constants, in the graph or beside it. */
const weightBytes = ({ graph }: Model): number =>
  [...graph.initializers.values()].reduce((n, { data }) => n + (data.kind === "external" ? data.length : data.bytes.length), 0);

/** Whether it stores numbers of 16 bits: of bfloat16 ONNX Runtime has no CPU kernels, of float16 few, and casts around each node. */
const storesNarrow = ({ graph }: Model): boolean =>
  [...graph.initializers.values(), ...graph.inputs, ...graph.outputs].some(({ dataType }) => isHalfPrecision(dataType));

/**
 * Reads the same tokens by the original graph and by the rewritten one, in two blocks and by steps.
 *
 * @throws EspalierError CANNOT_REWRITE if they answer otherwise
 */
async function requireSame(decoder: BatchedDecoder, original: ModelSource, V: number): Promise<void> {
  const ids = Array.from({ length: 12 }, (_, i) => (i * 7919 + 11) % V);
  const session = await openSession(original, { executionProvider: "CPU", lean: true });
  let expected: Float32Array;
  try {
    const signature = signatureOf(session.inputs);
    const { name } = logitsOf(session.outputs);
    const results = await session.run({ ...feedsOf(signature, [ids], 0), ...emptyCache(signature.caches, 1) }, [name]);
    expected = float32Logits(results[name] as TensorValue);
  } finally {
    await session.close();
  }
  const sequence = decoder.begin([], ids.length, 0);
  const found: Float32Array[] = [];
  for (const [from, to] of [
    [0, 5],
    [5, 9],
  ] as const) {
    const { logits } = await decoder.read(sequence, ids.slice(from, to), { logits: Array.from({ length: to - from }, (_, i) => i) });
    append(
      found,
      logits.map((l) => l.slice()),
    );
  }
  for (const id of ids.slice(9))
    append(
      found,
      (await decoder.step([sequence], [id])).map((l) => l.slice()),
    );
  decoder.end(sequence);
  let [apart, largest] = [0, 0];
  for (const [t, row] of found.entries())
    for (const [v, value] of row.entries()) {
      const e = expected[t * V + v] as number;
      apart = Math.max(apart, Number.isFinite(value) ? Math.abs(value - e) : Number.POSITIVE_INFINITY);
      largest = Math.max(largest, Math.abs(e));
    }
  if (!(apart <= tolerance * largest)) unfit(`rewritten, it answers otherwise: logits differ by ${apart} of ${largest}`);
}
