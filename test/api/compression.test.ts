import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { compressionMethodNamed, compressionMethods } from "../../src/compression/methods/index.ts";
import type { CompressionMethod } from "../../src/compression/methods/method.ts";
import { schemes } from "../../src/compression/options.ts";
import type { InspectedModel } from "../../src/models/types.ts";
import { insertModel } from "../../src/store/models.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { inspected, sha256 } from "../support/records.ts";
import { until } from "../support/wait.ts";

const texts = { name: "literature-train" };
const small = { samples: 32, sequenceLength: 64 };
const [first] = compressionMethods as readonly [CompressionMethod, ...CompressionMethod[]];
/** What a method is asked with. */
const asked = ({ name, needsGram }: CompressionMethod) => ({
  method: name,
  ...(needsGram ? { options: small, dataset: texts } : { options: {} }),
});
const reading = compressionMethods.find((m) => m.needsGram);
const blind = compressionMethods.find((m) => !m.needsGram);

const unread = [
  ["GPTQ", "INT4", "pattern", "FOUR_OF_EIGHT"],
  ["GPTQ", "INT8", "headBits", 4],
  ["CLIP", "INT4", "activationOrder", false],
  ["WANDA", "SPARSE", "damping", 0.1],
  ["WANDA", "SPARSE", "blockSize", 64],
  ["WANDA", "SPARSE", "sparsity", 0.6],
  ["PBS2P", "TERNARY", "head", false],
  ["MAGNITUDE", "SPARSE", "samples", 8],
] as const;

let api: TestApi;
let modelId: string;
before(async () => {
  api = await testApi();
  modelId = (await api.data('mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }')).registerModel.model.id;
});
after(() => api.close());

const start = `mutation($input: StartCompressionInput!) {
  startCompression(input: $input) { run { id status method scheme options { blockSize symmetric pattern samples } } }
}`;

async function ended(id: string) {
  const query = "query($id: ID!) { run(id: $id) { status error { code message } resultModel { id } } }";
  return until(
    "the run ends",
    async () => {
      const { run } = await api.data(query, { id });
      return ["QUEUED", "RUNNING"].includes(run.status) ? null : run;
    },
    240_000,
  );
}

const inserted = (model: InspectedModel, parentId: string | null = null) =>
  api.services.store.prisma.$transaction((tx) => insertModel(tx, model, model.digest, parentId));

test("the ways of compressing are those of the list", async () => {
  const { compressionMethods: told } = await api.data("{ compressionMethods { name description schemes needsDataset } }");
  assert.deepEqual(
    told,
    compressionMethods.map(({ name, description, schemes: made, needsGram }) => ({
      ...{ name, description, schemes: made },
      needsDataset: needsGram,
    })),
  );
});

test("compressed, exported and measured, all asked for at once; what came of each product can be paged through", async () => {
  const input = { subject: { modelId }, ...asked(first) };
  const { run } = (await api.data(start, { input })).startCompression;
  assert.deepEqual([run.method, run.scheme, run.options.blockSize, run.options.samples], [first.name, first.schemes[0], 32, 32]);
  const evaluate = "mutation($input: StartEvaluationInput!) { startEvaluation(input: $input) { run { id } } }";
  const measuring = { subject: { resultOf: run.id }, sequenceLength: 32, maxTokens: 64, measureSpeed: false };
  const { startEvaluation } = await api.data(evaluate, { input: { ...measuring, dataset: { name: "literature-heldout" } } });

  // Adapters are trained beside codes, of which the nearest model that has none is the teacher.
  const heal = "mutation($input: StartRecoveryInput!) { startRecovery(input: $input) { run { id } } }";
  const little = { steps: 2, checkEverySteps: 2, batchSize: 4, sequenceLength: 32, heldBackTexts: 8, rank: 4 };
  const healing = { subject: { resultOf: run.id }, method: "LORA", dataset: texts, options: little };
  const { startRecovery } = await api.data(heal, { input: healing });

  // What it makes is quantised: nothing is to be pruned, healed or quantised of it, and that is known before it is there.
  const texted = { subject: { resultOf: run.id }, dataset: texts };
  for (const [mutation, type, own] of [
    ["startPruning", "StartPruningInput", texted],
    ["startRecovery", "StartRecoveryInput", { ...texted, method: "FULL" }],
    ["startCompression", "StartCompressionInput", { ...input, subject: { resultOf: run.id } }],
  ] as const) {
    const { errors } = await api.ask(`mutation($input: ${type}!) { ${mutation}(input: $input) { run { id } } }`, { input: own });
    const extensions = errors?.[0]?.extensions;
    assert.deepEqual([extensions?.["code"], extensions?.["argument"]], ["QUANTISED_WEIGHTS", "input.subject.resultOf"], mutation);
  }

  assert.equal((await ended(startEvaluation.run.id)).status, "SUCCEEDED");
  const query = `query($id: ID!, $after: String) { compressionRun(id: $id) {
    status progress error { code message } peakMemoryBytes executionProvider
    model { id } resultModel { id name parent { id } parameterCount sizeBytes producedBy { id kind } pruningObstacle { code } }
    result { productCount left { parameter reason } meanRelativeError zeroRatio bytesBefore bytesAfter }
    products(first: 5, after: $after) { totalCount pageInfo { hasNextPage endCursor }
      nodes { parameter layer inputs outputs relativeError zeroRatio bytesBefore bytesAfter certificate { iterations residual } } }
  } }`;
  const { compressionRun: found } = await api.data(query, { id: run.id });
  assert.equal(found.status, "SUCCEEDED", JSON.stringify(found.error));
  const { resultModel: child, result } = found;
  assert.deepEqual([child.parent.id, child.producedBy.id, child.producedBy.kind], [modelId, run.id, "COMPRESSION"]);
  assert.equal(child.pruningObstacle.code, "QUANTISED_WEIGHTS");
  assert.ok(result.bytesAfter < 0.5 * result.bytesBefore && found.peakMemoryBytes > 0);

  type Product = { parameter: string; layer: number | null; inputs: number; outputs: number; bytesBefore: number; bytesAfter: number };
  const products: Product[] = [...found.products.nodes];
  for (let page = found.products; page.pageInfo.hasNextPage; ) {
    page = (await api.data(query, { id: run.id, after: page.pageInfo.endCursor })).compressionRun.products;
    products.push(...page.nodes);
  }
  assert.deepEqual([products.length, found.products.totalCount], [result.productCount, result.productCount]);
  assert.equal(new Set(products.map((p) => p.parameter)).size, products.length);
  for (const { parameter, layer, inputs, outputs, bytesBefore, bytesAfter } of products) {
    assert.ok(bytesBefore >= 2 * inputs * outputs, parameter);
    // Half a byte a weight, but of what lies outside of layers one; and for each block a scale of up to four bytes and a zero point, in whole bytes.
    const [blocks, bytes] = [Math.ceil(inputs / 32), layer === null ? 1 : 0.5];
    assert.ok(bytesAfter >= bytes * inputs * outputs && bytesAfter <= outputs * ((33 * bytes + 4) * blocks + 0.5), parameter);
  }
  const bad = await api.ask(query, { id: run.id, after: "far" });
  assert.equal(bad.errors?.[0]?.extensions["code"], "BAD_CURSOR");

  const events: { __typename: string; step?: number; steps?: number; products?: Product[] }[] = [];
  const progress = `subscription($id: ID!) { runProgress(runId: $id) { __typename
    ... on CompressionStarted { steps tokens executionProvider }
    ... on ProductsCompressed { step steps estimatedMsLeft products { parameter inputs outputs bytesBefore bytesAfter } }
    ... on CompressionSucceeded { productCount meanRelativeError zeroRatio bytesBefore bytesAfter resultModel { id } } } }`;
  for await (const event of api.socket().iterate({ query: progress, variables: { id: run.id } })) {
    assert.equal(event.errors, undefined, JSON.stringify(event.errors));
    events.push((event.data as { runProgress: (typeof events)[number] }).runProgress);
  }
  assert.deepEqual([events[0]?.__typename, events.at(-1)?.__typename], ["CompressionStarted", "CompressionSucceeded"]);
  const steps = events.filter((e) => e.__typename === "ProductsCompressed");
  assert.equal(steps.length, events[0]?.steps);
  assert.deepEqual(
    steps.flatMap((e) => (e.products ?? []).map((p) => p.parameter)),
    products.map((p) => p.parameter),
  );

  const listed = await api.data(
    "query($methods: [CompressionMethod!]) { compressionRuns(filter: { methods: $methods }) { totalCount nodes { id } } }",
    { methods: [first.name] },
  );
  assert.ok(listed.compressionRuns.nodes.some((r: { id: string }) => r.id === run.id));

  const recovered = await ended(startRecovery.run.id);
  assert.equal(recovered.status, "SUCCEEDED", JSON.stringify(recovered.error));
  const healed = await api.data(
    "query($id: ID!) { model(id: $id) { parent { id } parameterCount pruningObstacle { code } producedBy { kind } } }",
    {
      id: recovered.resultModel.id,
    },
  );
  assert.deepEqual(
    [healed.model.parent.id, healed.model.pruningObstacle.code, healed.model.producedBy.kind],
    [child.id, "QUANTISED_WEIGHTS", "RECOVERY"],
  );
  assert.ok(healed.model.parameterCount > child.parameterCount);
  const writing = "mutation($input: StartExportInput!) { startExport(input: $input) { run { id } } }";
  const asGguf = await api.ask(writing, { input: { subject: { modelId: recovered.resultModel.id }, format: "GGUF" } });
  assert.deepEqual(
    [asGguf.errors?.[0]?.extensions["code"], asGguf.errors?.[0]?.message.includes("adapters")],
    ["EXPORT_UNSUPPORTED", true],
  );

  // Now that it is there, who asks is told which ancestor to take.
  for (const [mutation, type, own] of [
    ["startPruning", "StartPruningInput", { dataset: texts }],
    ["startRecovery", "StartRecoveryInput", { dataset: texts, method: "FULL" }],
    ["startCompression", "StartCompressionInput", asked(first)],
  ] as const) {
    const its = { ...own, subject: { modelId: child.id } };
    const { errors } = await api.ask(`mutation($input: ${type}!) { ${mutation}(input: $input) { run { id } } }`, { input: its });
    const [error] = errors ?? [];
    assert.deepEqual([error?.extensions["code"], error?.extensions["ancestorId"]], ["QUANTISED_WEIGHTS", modelId], mutation);
    assert.match(error?.message ?? "", /take its ancestor ahab/);
  }
});

test("texts that a model was compressed by are refused where it is measured", { skip: reading === undefined }, async () => {
  const input = { subject: { modelId }, ...asked(reading as CompressionMethod) };
  const { run } = (await api.data(start, { input })).startCompression;
  const evaluate = "mutation($input: StartEvaluationInput!) { startEvaluation(input: $input) { run { id } } }";
  const measuring = { sequenceLength: 32, maxTokens: 64, measureSpeed: false, dataset: texts };
  const pending = await api.ask(evaluate, { input: { ...measuring, subject: { resultOf: run.id } } });
  assert.equal(pending.errors?.[0]?.extensions["code"], "DATASET_OVERLAP");
  const { resultModel } = await ended(run.id);
  const there = await api.ask(evaluate, { input: { ...measuring, subject: { modelId: resultModel.id } } });
  assert.equal(there.errors?.[0]?.extensions["code"], "DATASET_OVERLAP");
});

test("bad input is refused before anything is stored, with the argument at fault", async () => {
  const { prisma } = api.services.store;
  const input = { subject: { modelId }, ...asked(first) };
  const alike = inspected("compressed");
  const pruningObstacle = { code: "QUANTISED_WEIGHTS", message: "the model's weights are quantised" };
  const { id: quantised } = await inserted({ ...alike, pruningObstacle });
  const { id: graph } = await inserted({ ...alike, digest: sha256("graph alone"), files: alike.files.slice(0, 2) });
  const unmade = schemes.find((scheme) => !first.schemes.includes(scheme));
  const option = (name: string, ...values: unknown[]) =>
    values.map((value) => [{ options: { ...small, [name]: value } }, "BAD_USER_INPUT", `input.options.${name}`] as const);
  type BadInput = readonly [change: object, code: string, argument: string];
  const rows: readonly BadInput[] = [
    [{ subject: { modelId: quantised } }, "QUANTISED_WEIGHTS", "input.subject.modelId"],
    [{ subject: { modelId: graph } }, "TOKENIZER_MISSING", "input.subject.modelId"],
    [{ subject: { modelId: "018f0000-0000-7000-8000-000000000000" } }, "MODEL_NOT_FOUND", "input.subject.modelId"],
    [{ subject: { resultOf: "018f0000-0000-7000-8000-000000000000" } }, "RUN_NOT_FOUND", "input.subject.resultOf"],
    [{ subject: {} }, "BAD_USER_INPUT", "input.subject"],
    [{ method: "MAGIC" }, "BAD_USER_INPUT", "input.method"],
    [{ scheme: "INT3" }, "BAD_USER_INPUT", "input.scheme"],
    ...(unmade ? [[{ scheme: unmade }, "BAD_USER_INPUT", "input.scheme"] as const] : []),
    [{ priority: 101 }, "BAD_USER_INPUT", "input.priority"],
    [{ idempotencyKey: " " }, "BAD_USER_INPUT", "input.idempotencyKey"],
    ...option("blockSize", 0, 16, 256),
    ...option("sparsity", 0, 1, -0.5),
    ...option("samples", 0, 4097),
    ...option("sequenceLength", 1, 65_537),
    ...option("damping", 0, 1.5),
    ...option("pattern", "THREE_OF_FOUR"),
    ...option("headBits", 2),
    // What a scheme or a method does not read.
    ...unread.map(([method, scheme, name, value]) => {
      const own = { ...asked(compressionMethodNamed(method)), scheme };
      return [{ ...own, options: { [name]: value } }, "BAD_USER_INPUT", `input.options.${name}`] as const;
    }),
    ...(blind ? [[{ ...asked(blind), dataset: texts }, "BAD_USER_INPUT", "input.dataset"] as const] : []),
    ...(reading
      ? ([
          [{ ...asked(reading), dataset: null }, "BAD_USER_INPUT", "input.dataset"],
          [{ ...asked(reading), dataset: { name: "nothing" } }, "DATASET_NOT_FOUND", "input.dataset.name"],
          [{ ...asked(reading), dataset: { texts: [] } }, "INVALID_DATASET", "input.dataset.texts"],
          [{ ...asked(reading), dataset: { texts: ["Call me Ishmael."] } }, "CALIBRATION_TOO_SHORT", "input.dataset"],
          [{ ...asked(reading), options: { samples: 2, sequenceLength: 8 } }, "CALIBRATION_TOO_SHORT", "input.options.samples"],
        ] as const)
      : []),
  ];
  const counts = () => Promise.all([prisma.run.count(), prisma.dataset.count()]);
  const before = await counts();
  for (const [change, code, argument] of rows) {
    const { errors } = await api.ask(start, { input: { ...input, ...change } });
    assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], [code, argument], JSON.stringify(change));
  }
  assert.deepEqual(await counts(), before);
});

test("the same key gives the same run", async () => {
  const input = { subject: { modelId }, ...asked(first), idempotencyKey: "compressed once" };
  const [one, two] = [(await api.data(start, { input })).startCompression.run, (await api.data(start, { input })).startCompression.run];
  assert.equal(one.id, two.id);
  const other = await api.ask(start, { input: { ...input, options: { ...small, seed: 9 } } });
  assert.equal(other.errors?.[0]?.extensions["code"], "IDEMPOTENCY_KEY_REUSED");
  await api.ask("mutation($id: ID!) { cancelRun(input: { id: $id }) { run { status } } }", { id: one.id });
});
