import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { gradientObstacle } from "../autodiff/gradient-obstacle.ts";
import { EspalierError } from "../errors.ts";
import type { Answer } from "../model-task.ts";
import { intOf } from "../onnx/attributes.ts";
import { decode } from "../onnx/decode.ts";
import { constantsFirst } from "../onnx/edit.ts";
import { referToFile } from "../onnx/file-references.ts";
import { type Model, operatorKey } from "../onnx/ir.ts";
import { bringInSmall } from "../onnx/passes/bring-in-small.ts";
import { canonical } from "../onnx/passes/canonical.ts";
import { type TensorReader, tensorReader } from "../onnx/read-tensor.ts";
import { verify } from "../onnx/verify.ts";
import { modelSource } from "../runtime/model-source.ts";
import { openSession } from "../runtime/session.ts";
import { cacheEntries } from "../signature/caches.ts";
import { answerOf, logitsOf } from "../signature/logits.ts";
import { chatTemplateFiles, loadChatTemplate } from "../text/chat-template.ts";
import { readJson, readModelConfig, wholeTextLength } from "../text/model-config.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { graphOfFolder } from "./blueprints/graph-of-folder.ts";
import { describe, type Facts, type Known } from "./describe.ts";
import { describeServed } from "./describe-served.ts";
import { externalFiles, type ModelFolder, namedFromRoot } from "./model-folder.ts";
import { firstAnswer } from "./probe.ts";
import { requireUsable, requireUsableEncoder } from "./usable.ts";
import { withoutTurning } from "./without-turning.ts";

/** What is known of a model's files; null is what an obstacle kept from being known. */
export interface Survey {
  readonly model: Model | null;
  /** The bytes of the graph, where it was built and is no file of the folder. */
  readonly built: Uint8Array | null;
  /** Files of external data, relative to the model's folder. */
  readonly external: readonly string[] | null;
  readonly facts: Facts | null;
  readonly notes: readonly string[];
}

/** Gradient rules follow the forms that operators have had since then (axes as inputs). */
const oldestOpset = 13;

/** A graph is one protobuf message, which has at most 2 GB; weights beyond that are external data. */
const largestGraph = 2 ** 31 - 1;

/** Stands in for weights that are not there: each differs from all others, so none is taken for tied. */
const unread: TensorReader = ({ name }) => new TextEncoder().encode(name);

/**
 * Checks all that registering a model promises and yields what stands in the way, in order. Whoever goes on after an obstacle
 * learns the others, as far as they can be told; without any, nothing in the result is null. What keeps a model from being
 * pruned alone is among its facts.
 *
 * @param foundFiles is told the graph, if it is a file, and the files of weights as soon as they are known: reading the weights is most of the work
 * @yields EspalierError FILE_TOO_LARGE; INVALID_ONNX; INVALID_GRAPH; INVALID_JSON; MISSING_EXTERNAL_DATA, PATH_OUTSIDE_MODEL_ROOT
 *   (model-folder.ts); UNSUPPORTED_OPSET; NO_LOGITS, UNSUPPORTED_INPUT, UNSUPPORTED_CACHE (src/signature, usable.ts);
 *   UNSUPPORTED_EXPERTS; NO_TOKEN_INPUT, NO_STRUCTURES; with these QUANTISED_WEIGHTS, UNSUPPORTED_OPERATORS; ONNX_RUNTIME if ONNX Runtime does not load or run it;
 *   UNSUPPORTED_FAMILY, UNSUPPORTED_CONFIG, INVALID_SAFETENSORS, WEIGHTS_MISMATCH (blueprints/graph-of-folder.ts);
 *   INVALID_TOKENIZER, UNSUPPORTED_TOKENIZER, UNKNOWN_TOKEN (tokenizer.ts); INVALID_CHAT_TEMPLATE
 */
export async function* survey(
  place: ModelFolder,
  foundFiles: (names: readonly string[]) => void = () => {},
): AsyncGenerator<EspalierError, Survey> {
  const path = join(place.folder, place.graph);
  const built = place.built ? yield* attempt(() => graphOfFolder(place)) : null;
  const file = place.built ? (built?.bytes ?? null) : yield* attempt(() => readGraph(path));
  const decoded = file && (yield* attempt(() => decode(file)));
  if (!decoded) return { model: null, built: null, external: null, facts: null, notes: [] };
  // What is stored are the files as they are, whatever of them the canonical form leaves out.
  const external = yield* attempt(() => externalFiles(decoded, place));
  if (external) foundFiles([...(place.built ? [] : [place.graph]), ...external]);
  const read = external ? tensorReader(dirname(path)) : unread;
  const { model: spelled, notes, unrolled } = canonical(decoded);
  const model = external ? bringInSmall(spelled, read) : spelled;
  const { graph } = model;
  const sound = yield* attempt(() => {
    verify(model);
    return true;
  });
  const opset = model.opsets[""] ?? 0;
  if (opset < oldestOpset)
    yield new EspalierError("UNSUPPORTED_OPSET", `the model is of operator set ${opset}; export it anew with ${oldestOpset} or later`, {
      opset,
      oldestOpset,
    });
  const trial = sound && external ? await triedOut(referToFile(model, file, basename(path)), place) : null;
  // Before all that follows from it, which would be no help.
  if (trial?.against && trial.against.code !== "ONNX_RUNTIME") yield trial.against;
  if (trial && unrolled)
    yield* attempt(async () => requireSameExperts(trial, await triedOut(referToFile(unrolled, file, basename(path)), place)));
  const answer = trial?.answer ?? null;
  const logits = yield* attempt(() => (answer && !answer.causal ? answerOf(graph.outputs) : logitsOf(graph.outputs)));
  const obstacle = logits && gradientObstacle(graph, logits.name);
  const length = yield* attempt(async () =>
    answer && !answer.causal ? wholeTextLength(place.folder) : (await readModelConfig(place.folder)).contextLength,
  );
  const facts = sound && logits ? yield* attempt(() => described(model, read, { length, obstacle, answer })) : null;
  if (facts) yield* attempt(() => cacheEntries(graph.inputs, graph.outputs));
  // Else the facts say it.
  else if (obstacle) yield obstacle;
  if (trial?.against?.code === "ONNX_RUNTIME") yield trial.against;
  const beside = (name: string) => place.companions.includes(name);
  if (beside("tokenizer.json")) yield* attempt(() => loadTokenizer(place.folder, facts?.architecture.vocabularySize));
  if (beside("genai_config.json")) yield* attempt(() => readJson(place.folder, "genai_config.json"));
  if (chatTemplateFiles.some(beside)) yield* attempt(() => loadChatTemplate(place.folder));
  return {
    model,
    built: built?.bytes ?? null,
    external,
    facts,
    notes: [...(built?.notes ?? []), ...notes, ...slowCodes(graph), ...(trial?.notes ?? [])],
  };
}

/** Products of codes are fast at one accuracy level: at others they are unpacked in each run. Where none is stated, serving and measuring take that one (`atFastLevel`). */
function slowCodes({ nodes }: Model["graph"]): string[] {
  const slow = nodes.filter((n) => operatorKey(n) === "com.microsoft::MatMulNBits" && intOf(n, "accuracy_level", 0) !== 4);
  if (slow.length === 0) return [];
  const unset = slow.filter((n) => intOf(n, "accuracy_level", 0) === 0).length;
  const others = unset < slow.length ? "; those that state another are left as they are" : "";
  return [
    `${slow.length} products of codes (MatMulNBits) do not state accuracy_level 4: on the CPU ONNX Runtime then unpacks their weights in each run, which takes up to thirty times as long. ` +
      `Here ${unset} that state none are served and measured at level 4, which rounds what they are given to 8 bits${others}`,
  ];
}

/** What is known of a model that is pruned, or at least served. */
async function described(model: Model, read: TensorReader, known: Known): Promise<Facts> {
  const { obstacle } = known;
  if (obstacle?.code === "QUANTISED_WEIGHTS") return describeServed(model, read, known, obstacle);
  try {
    return await describe(model, read, known);
  } catch (error) {
    // What operators are not known may be why no structures are found.
    if (!obstacle || !(error instanceof EspalierError) || error.code !== "NO_STRUCTURES") throw error;
    return describeServed(model, read, known, obstacle);
  }
}

/** What a short run of a model showed. */
interface Trial {
  /** The logits that it gave, token by token. */
  readonly values: readonly Float32Array[];
  /** What it answered; null if nothing was learned of that. */
  readonly answer: Answer | null;
  /** Why it cannot be registered; null if nothing is against it. */
  readonly against: EspalierError | null;
  /** What users should know of it. */
  readonly notes: readonly string[];
}

/** Such a model is registered for whoever wants to see why; all that computes with it fails with a code. */
const noNumbers = "of a short text the model's logits are no numbers (NaN): its weights or its config.json hold what gives none";

/** Runs the model as it is for a short text. */
async function triedOut(model: Model, place: ModelFolder): Promise<Trial> {
  // Unoptimised: folding constants would copy weights that are else only mapped.
  const options = { executionProvider: "CPU", threads: 1, lean: true } as const;
  try {
    const fitting = withoutTurning(model);
    const ordered = { ...fitting, graph: constantsFirst(fitting.graph) };
    const session = await openSession(modelSource(await namedFromRoot(ordered, place), place.root, "CPU"), options);
    try {
      const { answer = null, read = null } = (await firstAnswer(session)) ?? {};
      if (answer && !answer.causal) await requireUsableEncoder(session, answer.name, answer.name === "logits");
      else await requireUsable(session, read);
      const isNone = read?.values.some((row) => row.some((token) => token.some(Number.isNaN))) ?? false;
      return { answer, against: null, notes: isNone ? [noNumbers] : [], values: read?.values.flat() ?? [] };
    } finally {
      await session.close();
    }
  } catch (error) {
    if (error instanceof EspalierError) return { answer: null, against: error, notes: [], values: [] };
    throw error;
  }
}

/** How far logits may lie apart, by the largest of them. */
const tolerance = 1e-3;

/** @throws EspalierError UNSUPPORTED_EXPERTS if experts, each computing all tokens, give other logits than the graph as it was written */
function requireSameExperts({ values }: Trial, { values: given }: Trial): void {
  let [apart, largest] = [0, 0];
  for (const [t, row] of given.entries())
    for (const [i, value] of row.entries()) {
      // What was no number before may stay none.
      if (Number.isNaN(value)) continue;
      const other = values[t]?.[i] ?? Number.NaN;
      apart = Math.max(apart, Number.isNaN(other) ? Number.POSITIVE_INFINITY : Math.abs(value - other));
      largest = Math.max(largest, Math.abs(value));
    }
  if (apart > tolerance * largest)
    throw new EspalierError(
      "UNSUPPORTED_EXPERTS",
      `the graph's experts are written otherwise than is understood: where each computes all tokens, times its weight, logits differ by ${apart} of ${largest}`,
    );
}

async function* attempt<T>(step: () => T | Promise<T>): AsyncGenerator<EspalierError, T | null> {
  try {
    return await step();
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    yield error;
    return null;
  }
}

async function readGraph(path: string): Promise<Buffer> {
  const { size } = await stat(path);
  if (size > largestGraph)
    throw new EspalierError("FILE_TOO_LARGE", `the graph has ${size} bytes; an ONNX file has at most ${largestGraph}`, { sizeBytes: size });
  return readFile(path);
}
