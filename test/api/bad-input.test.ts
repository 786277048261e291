import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { insertModel } from "../../src/store/models.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { inspected, newModel, newRun } from "../support/records.ts";

let api: TestApi;
/** Of a model with 2 layers and no stated context length. */
let modelId: string;
let runId: string;
/** Of a model registered as a graph alone. */
let graphId: string;
before(async () => {
  api = await testApi();
  ({ id: modelId } = await newModel(api.services.store, "model"));
  ({ id: runId } = await newRun(api.services.store));
  const whole = inspected("graph");
  const alone = { ...whole, files: whole.files.filter(({ path }) => path !== "tokenizer.json") };
  ({ id: graphId } = await api.services.store.prisma.$transaction((tx) => insertModel(tx, alone, "graph", null)));
});
after(() => api.close());

const nobody = "00000000-0000-7000-8000-000000000000";
const start = "mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }";
const evaluate = "mutation($input: StartEvaluationInput!) { startEvaluation(input: $input) { run { id } } }";
const generate = "mutation($input: GenerateInput!) { generate(input: $input) { text } }";
const register = "mutation($input: RegisterModelInput!) { registerModel(input: $input) { model { id } } }";

const dataset = { name: "literature-train" };
/** Texts that nothing has kept yet. */
const own = { dataset: { texts: ["Nobody has ever asked for this text."] } };
const options = (options: object, more: object = {}) => [start, { input: { subject: { modelId }, dataset, options, ...more } }] as const;
const evaluation = (input: object) => [evaluate, { input: { subject: { modelId }, dataset, ...input } }] as const;
const score = "query($input: ScoreInput!) { score(input: $input) { logprob } }";
const embed = "query($input: EmbedInput!) { embed(input: $input) }";
const generation = (input: object) => [generate, { input: { modelId, prompt: { text: "A" }, ...input } }] as const;

type Row = readonly [query: string, variables: object, code: string, argument: string | undefined];
const bad = "BAD_USER_INPUT";
const rows = (): Record<string, Row> => ({
  "not GraphQL": ["{ models", {}, "GRAPHQL_PARSE_FAILED", undefined],
  "no such field": ["{ model(id: 1) { weight } }", {}, "GRAPHQL_VALIDATION_FAILED", undefined],
  "a literal out of type": ["{ models(first: 1.5) { nodes { id } } }", {}, "GRAPHQL_VALIDATION_FAILED", undefined],
  "a variable missing": [start, {}, bad, "input"],
  "a variable's field missing": [start, { input: { subject: { modelId } } }, bad, "input"],
  "neither a model nor a run's result": [start, { input: { dataset, subject: {} } }, bad, "input.subject"],
  "a model and a run's result": [start, { input: { dataset, subject: { modelId, resultOf: runId } } }, bad, "input.subject"],
  "a variable's field out of type": [...options({ seed: 0.5 }), bad, "input.options.seed"],
  "a variable's field out of Int": [...options({ seed: 2 ** 31 }), bad, "input.options.seed"],
  "an enum value that is none": [...options({ structureKinds: ["LAYER", "NEURON"] }), bad, "input.options.structureKinds[1]"],
  "an unknown method": [start, { input: { subject: { modelId }, dataset, method: "MAGIC" } }, bad, "input.method"],
  "null where there is a default": [...options({ targetRatio: null }), bad, "input.options.targetRatio"],
  "page of none": ["{ models(first: 0) { nodes { id } } }", {}, bad, "first"],
  "page too large": ["{ models(first: 101) { nodes { id } } }", {}, bad, "first"],
  "map of too many cells": [`{ pruningRun(id: "${runId}") { structureMap(kind: CHANNEL, cells: 513) { iteration } } }`, {}, bad, "cells"],
  "map of no iteration": [
    `{ pruningRun(id: "${runId}") { structureMap(kind: CHANNEL, iteration: -1) { iteration } } }`,
    {},
    bad,
    "iteration",
  ],
  "page of scores too large": [`{ pruningRun(id: "${runId}") { scores(first: 1001) { nodes { score } } } }`, {}, bad, "first"],
  "cursor of another list": ['{ models(after: "abc") { nodes { id } } }', {}, "BAD_CURSOR", "after"],
  "cursor of children": [`{ model(id: "${modelId}") { children(after: "x") { nodes { id } } } }`, {}, "BAD_CURSOR", "after"],
  "lineage of nobody": [`{ lineage(modelId: "${nobody}") { truncated } }`, {}, "MODEL_NOT_FOUND", "modelId"],
  "lineage of what is no id": ['{ lineage(modelId: "x") { truncated } }', {}, "MODEL_NOT_FOUND", "modelId"],
  "negative depth": [`{ lineage(modelId: "${modelId}", depth: -1) { truncated } }`, {}, bad, "depth"],
  "register nothing": [register, { input: { source: { path: " " } } }, bad, "input.source.path"],
  "register neither": [register, { input: { name: "neither" } }, bad, "input.source"],
  "register both": [register, { input: { path: "ahab", source: { path: "ahab" } } }, bad, "input.source"],
  "register without a name": [register, { input: { path: "ahab", name: "" } }, bad, "input.name"],
  "a name that a terminal would act on": [register, { input: { path: "ahab", name: "a\u001b[31mb" } }, bad, "input.name"],
  "a name too long": [register, { input: { path: "ahab", name: "a".repeat(201) } }, bad, "input.name"],
  "prune nobody": [start, { input: { subject: { modelId: nobody }, dataset } }, "MODEL_NOT_FOUND", "input.subject.modelId"],
  "prune a graph alone": [start, { input: { subject: { modelId: graphId }, dataset } }, "TOKENIZER_MISSING", "input.subject.modelId"],
  "evaluate a graph alone": [evaluate, { input: { subject: { modelId: graphId }, dataset } }, "TOKENIZER_MISSING", "input.subject.modelId"],
  "let a graph alone write": [generate, { input: { modelId: graphId, prompt: { text: "A" } } }, "TOKENIZER_MISSING", "input.modelId"],
  "no texts": [start, { input: { subject: { modelId }, dataset: {} } }, bad, "input.dataset"],
  "texts twice": [start, { input: { subject: { modelId }, dataset: { ...dataset, texts: ["a"] } } }, bad, "input.dataset"],
  "unknown dataset": [
    start,
    { input: { subject: { modelId }, dataset: { name: "everything" } } },
    "DATASET_NOT_FOUND",
    "input.dataset.name",
  ],
  "a dataset of no such id": [start, { input: { subject: { modelId }, dataset: { id: nobody } } }, "DATASET_NOT_FOUND", "input.dataset.id"],
  "empty list of texts": [start, { input: { subject: { modelId }, dataset: { texts: [] } } }, "INVALID_DATASET", "input.dataset.texts"],
  "texts of blanks": [start, { input: { subject: { modelId }, dataset: { texts: [" ", ""] } } }, "INVALID_DATASET", "input.dataset.texts"],
  "too many texts": [
    start,
    { input: { subject: { modelId }, dataset: { texts: Array(100_001).fill("a") } } },
    "INVALID_DATASET",
    "input.dataset.texts",
  ],
  "ratio 0": [...options({ targetRatio: 0 }), bad, "input.options.targetRatio"],
  "ratio 1": [...options({ targetRatio: 1 }), bad, "input.options.targetRatio"],
  "no kinds": [...options({ structureKinds: [] }), bad, "input.options.structureKinds"],
  "a kind twice": [...options({ structureKinds: ["MLP", "MLP"] }), bad, "input.options.structureKinds"],
  "no structures": [...options({ structuresPerIteration: 0 }), bad, "input.options.structuresPerIteration"],
  "too many structures": [...options({ structuresPerIteration: 1_000_001 }), bad, "input.options.structuresPerIteration"],
  "half a structure more": [...options({ structuresPerIteration: 1.5 }), bad, "input.options.structuresPerIteration"],
  "all channels kept": [...options({ structureKinds: ["CHANNEL"], minKeepRatio: 1 }), bad, "input.options.minKeepRatio"],
  "multiples of nothing": [
    ...options({ structureKinds: ["HEAD"], uniform: { headMultiple: 0 } }),
    bad,
    "input.options.uniform.headMultiple",
  ],
  "a kind that the method cannot score": [
    ...options({ structureKinds: ["LAYER"] }, { method: "FLAP" }),
    bad,
    "input.options.structureKinds",
  ],
  "scores in one unit divided": [
    ...options({ structureKinds: ["CHANNEL"], normalization: "KIND_MEAN" }, { method: "FLAP" }),
    bad,
    "input.options.normalization",
  ],
  "a start for what learns nothing": [...options({ startFrom: "WANDA_SP" }), bad, "input.options.startFrom"],
  "a start from itself": [...options({ startFrom: "POLICY_GRADIENT" }, { method: "POLICY_GRADIENT" }), bad, "input.options.startFrom"],
  "a start that cannot score the kind": [
    ...options({ startFrom: "FLAP", structureKinds: ["LAYER"] }, { method: "POLICY_GRADIENT" }),
    bad,
    "input.options.startFrom",
  ],
  "masks for what draws none": [...options({ masks: 64 }), bad, "input.options.masks"],
  "too few masks": [...options({ masks: 7 }, { method: "POLICY_GRADIENT" }), bad, "input.options.masks"],
  "uniform layers": [...options({ structureKinds: ["LAYER"], uniform: {} }), bad, "input.options.uniform"],
  "uniform but protected": [...options({ structureKinds: ["CHANNEL"], uniform: {}, protectFirst: 1 }), bad, "input.options.uniform"],
  "no samples": [...options({ samples: 0 }), bad, "input.options.samples"],
  "too many samples": [...options({ samples: 1025 }), bad, "input.options.samples"],
  "a view of one token": [...options({ sequenceLength: 1 }), bad, "input.options.sequenceLength"],
  "a view too long": [...options({ sequenceLength: 65_537 }), bad, "input.options.sequenceLength"],
  "nothing perturbed": [...options({ perturbation: { rate: 0 } }), bad, "input.options.perturbation.rate"],
  "too much perturbed": [...options({ perturbation: { rate: 1.01 } }), bad, "input.options.perturbation.rate"],
  "negative protection": [...options({ protectFirst: -1 }), bad, "input.options.protectFirst"],
  "negative protection at the end": [...options({ protectLast: -1 }), bad, "input.options.protectLast"],
  "every layer protected": [...options({ protectFirst: 1, protectLast: 1 }), bad, "input.options.protectFirst"],
  "too urgent": [...options({}, { ...own, priority: 101 }), bad, "input.priority"],
  "an empty key": [...options({}, { ...own, idempotencyKey: " " }), bad, "input.idempotencyKey"],
  "from nobody": [...options({}, { ...own, from: nobody }), "RUN_NOT_FOUND", "input.from"],
  "from a run with other texts": [...options({}, { ...own, from: runId }), bad, "input.subject.modelId"],
  "cancel nobody": [`mutation { cancelRun(input: { id: "${nobody}" }) { run { id } } }`, {}, "RUN_NOT_FOUND", "input.id"],
  "evaluate nobody": [...evaluation({ subject: { modelId: nobody } }), "MODEL_NOT_FOUND", "input.subject.modelId"],
  "evaluate windows of one token": [...evaluation({ sequenceLength: 1 }), bad, "input.sequenceLength"],
  "evaluate no tokens": [...evaluation({ maxTokens: 0 }), bad, "input.maxTokens"],
  "evaluate on an unknown dataset": [...evaluation({ dataset: { name: "" } }), "DATASET_NOT_FOUND", "input.dataset.name"],
  "generate with nobody": [...generation({ modelId: nobody }), "MODEL_NOT_FOUND", "input.modelId"],
  "generate from too much": [...generation({ prompt: { text: "a".repeat(100_001) } }), bad, "input.prompt.text"],
  "generate nothing": [...generation({ maxTokens: 0 }), bad, "input.maxTokens"],
  "generate too much": [...generation({ maxTokens: 4097 }), bad, "input.maxTokens"],
  "negative temperature": [...generation({ temperature: -0.1 }), bad, "input.temperature"],
  "too hot": [...generation({ temperature: 10.1 }), bad, "input.temperature"],
  "negative topK": [...generation({ topK: -1 }), bad, "input.topK"],
  "topP 0": [...generation({ topP: 0 }), bad, "input.topP"],
  "topP above 1": [...generation({ topP: 1.1 }), bad, "input.topP"],
  "minP above 1": [...generation({ minP: 1.1 }), bad, "input.minP"],
  "no repetition penalty at all": [...generation({ repetitionPenalty: 0 }), bad, "input.repetitionPenalty"],
  "a repetition penalty that makes logits infinite": [...generation({ repetitionPenalty: 1e-320 }), bad, "input.repetitionPenalty"],
  "too high a frequency penalty": [...generation({ frequencyPenalty: 2.1 }), bad, "input.frequencyPenalty"],
  "too low a presence penalty": [...generation({ presencePenalty: -2.1 }), bad, "input.presencePenalty"],
  "too much bias": [...generation({ logitBias: [{ tokenId: 1, bias: 101 }] }), bad, "input.logitBias"],
  "an empty stop string": [...generation({ stop: [""] }), bad, "input.stop"],
  "too many log probabilities": [...generation({ topLogprobs: 21 }), bad, "input.topLogprobs"],
  "no texts at all": [...generation({ n: 0 }), bad, "input.n"],
  "no time": [...generation({ timeLimitMs: 0 }), bad, "input.timeLimitMs"],
  "a text and messages": [...generation({ prompt: { text: "A", messages: [{ role: "user", content: "A" }] } }), bad, "input.prompt"],
  "neither text nor messages": [...generation({ prompt: {} }), bad, "input.prompt"],
  "no messages": [...generation({ prompt: { messages: [] } }), bad, "input.prompt.messages"],
  "the beginning of an answer to nothing": [...generation({ answerBegins: "A" }), bad, "input.answerBegins"],
  "score with nobody": [score, { input: { modelId: nobody, prompt: "A", continuations: ["b"] } }, "MODEL_NOT_FOUND", "input.modelId"],
  "score nothing": [score, { input: { modelId, prompt: "A", continuations: [] } }, bad, "input.continuations"],
  "score an empty text": [score, { input: { modelId, prompt: "A", continuations: ["b", ""] } }, bad, "input.continuations"],
  "embed nothing": [embed, { input: { modelId, texts: [] } }, bad, "input.texts"],
  "embed too much": [embed, { input: { modelId, texts: ["a".repeat(60_000), "a".repeat(60_000)] } }, bad, "input.texts"],
});

test("bad input is refused with a code and the argument at fault, and stores nothing", async (t) => {
  const { prisma } = api.services.store;
  const counts = () => Promise.all([prisma.model.count(), prisma.run.count(), prisma.dataset.count()]);
  const stored = await counts();
  for (const [name, [query, variables, code, argument]] of Object.entries(rows()))
    await t.test(name, async () => {
      const { errors } = await api.ask(query, variables as Record<string, unknown>);
      assert.equal(errors?.length, 1, JSON.stringify(errors));
      assert.deepEqual([errors[0]?.extensions["code"], errors[0]?.extensions["argument"]], [code, argument], errors[0]?.message);
    });
  assert.deepEqual(await counts(), stored);
  assert.deepEqual(api.log, []);
});

test("it is refused alike over WebSocket", async (t) => {
  const socket = api.socket();
  const overSocket: Record<string, Row> = {
    ...rows(),
    "progress of nobody": [`subscription { runProgress(runId: "${nobody}") { sequence } }`, {}, "RUN_NOT_FOUND", "runId"],
    "progress from before the start": [`subscription { runProgress(runId: "${runId}", after: -1) { sequence } }`, {}, bad, "after"],
    "stream too much": [
      "subscription($input: GenerateInput!) { generate(input: $input) { ... on GenerationDelta { text } } }",
      { input: { modelId, prompt: { text: "A" }, maxTokens: 0 } },
      bad,
      "input.maxTokens",
    ],
  };
  for (const [name, [query, variables, code, argument]] of Object.entries(overSocket))
    await t.test(name, async () => {
      const told = await new Promise<readonly { readonly extensions?: Record<string, unknown> }[]>((resolve, reject) => {
        const sink = {
          next: (result: { errors?: readonly object[] }) => resolve(result.errors ?? []),
          error: (e: unknown) => (Array.isArray(e) ? resolve(e) : reject(e)),
          complete: () => {},
        };
        socket.subscribe({ query, variables: variables as Record<string, unknown> }, sink);
      });
      assert.deepEqual(
        told.map((e) => [e.extensions?.["code"], e.extensions?.["argument"]]),
        [[code, argument]],
      );
    });
});
