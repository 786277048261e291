import assert from "node:assert/strict";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type TestApi, testApi } from "../support/api.ts";
import { newModel } from "../support/records.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
let root: string;
let modelId: string;
let parentAccuracy: number;
before(async () => {
  api = await testApi();
  root = api.services.datasetRoot;
  modelId = (await api.data('mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }')).registerModel.model.id;
});
after(() => api.close());

const fields = "id name description form digest recordCount sizeBytes";
const register = `mutation($input: RegisterDatasetInput!) { registerDataset(input: $input) { dataset { ${fields} } } }`;
const evaluate = `mutation($input: StartEvaluationInput!) { startEvaluation(input: $input) { run {
  id status progress sequenceLength stride maxTokens maxItems comparisonKey overlapRatio dataset { ${fields} }
} } }`;
const prune = "mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id dataset { digest } } } }";

async function refusal(query: string, input: object): Promise<readonly unknown[]> {
  const { errors } = await api.ask(query, { input });
  return [errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]];
}

const questions = [
  { id: "q0", context: "The white", choices: [" whale", " Constitution of the several States"], gold: 0 },
  { contexts: ["The whale", "The Congress"], continuation: " of the United States", gold: 1 },
];

async function finished(id: string) {
  const query = `query($id: ID!) { evaluation(id: $id) { status progress error { code message } model { id }
    retained { accuracyRatio aboveChanceRatio normalizedAccuracyRatio byteNormalizedAccuracyRatio perplexityRatio decodeSpeedRatio parent { id } }
    against { model { id } prompts newTokens } maxNewTokens stop answer { pattern match }
    executionProvider result { tokenCount perplexity perplexityStandardError nextTokenAccuracy divergence divergenceStandardError
      greedyAgreement greedyAgreementStandardError promptCount commonBeginningTokens commonBeginningTokensStandardError itemCount exactMatch exactMatchStandardError accuracy accuracyStandardError
      normalizedAccuracy normalizedAccuracyStandardError byteNormalizedAccuracy byteNormalizedAccuracyStandardError chanceAccuracy prefillTokensPerSecond decodeTokensPerSecond durationMs peakMemoryBytes } } }`;
  return until("the evaluation ends", async () => {
    const { evaluation } = await api.data(query, { id });
    return ["QUEUED", "RUNNING"].includes(evaluation.status) ? null : evaluation;
  });
}

async function evaluated(input: object) {
  const {
    startEvaluation: { run: asked },
  } = await api.data(evaluate, { input: { executionProvider: "CPU", ...input } });
  const evaluation = await finished(asked.id);
  assert.equal(evaluation.status, "SUCCEEDED", JSON.stringify(evaluation.error));
  assert.equal(evaluation.progress, 1);
  return { ...asked, ...evaluation };
}

test("those that come with the server are listed", async () => {
  const { datasets } = await api.data(`{ datasets(first: 10) { nodes { ${fields} } pageInfo { hasNextPage } } }`);
  const named = new Map<string, { form: string; recordCount: number }>(datasets.nodes.map((d: { name: string }) => [d.name, d]));
  assert.deepEqual([...named.keys()].sort(), ["literature-heldout", "literature-train"]);
  assert.deepEqual([named.get("literature-heldout")?.form, named.get("literature-heldout")?.recordCount], ["TEXT", 12]);
  assert.equal(datasets.pageInfo.hasNextPage, false);
});

test("a file is registered, and its records stay when it goes", async () => {
  await writeFile(join(root, "questions.jsonl"), questions.map((q) => `${JSON.stringify(q)}\n`).join(""));
  const input = { name: "questions", description: "Two.", source: { path: "questions.jsonl" } };
  const {
    registerDataset: { dataset },
  } = await api.data(register, { input });
  assert.deepEqual([dataset.name, dataset.description, dataset.form, dataset.recordCount], ["questions", "Two.", "MULTIPLE_CHOICE", 2]);
  await rm(join(root, "questions.jsonl"));
  const result = await evaluated({ subject: { modelId }, dataset: { name: "questions" } });
  assert.equal(result.result.itemCount, 2);
  parentAccuracy = result.result.accuracy;
  assert.ok(parentAccuracy > 0);
  assert.deepEqual([result.result.tokenCount, result.result.perplexity], [null, null]);
  assert.deepEqual(result.dataset, dataset);
});

test("the same records are one dataset, and a name is that of one", async () => {
  await writeFile(join(root, "again.json"), JSON.stringify(questions));
  const {
    registerDataset: { dataset: again },
  } = await api.data(register, { input: { name: "the same", source: { path: "again.json" } } });
  assert.equal(again.name, "questions");
  const texts = ["A whale is no fish."];
  assert.deepEqual(await refusal(register, { name: "questions", source: { texts } }), ["DATASET_NAME_TAKEN", "input.name"]);
  // Texts that came with a request have no name until they are given one.
  const { dataset } = await evaluated({ subject: { modelId }, dataset: { texts }, measureSpeed: false });
  assert.deepEqual([dataset.name, dataset.recordCount], [null, 1]);
  const {
    registerDataset: { dataset: named },
  } = await api.data(register, { input: { name: "fish", source: { texts } } });
  assert.deepEqual([named.id, named.name, named.digest], [dataset.id, "fish", dataset.digest]);
});

test("what lies outside the dataset root, or is no dataset, is refused", async () => {
  await mkdir(join(root, "folder.txt"));
  await writeFile(join(root, "broken.jsonl"), '"a"\n{"text": ');
  await symlink("/etc/hostname", join(root, "link.txt"));
  const refusals: Record<string, string> = {
    "../models/ahab/README.md": "PATH_OUTSIDE_DATASET_ROOT",
    "/etc/passwd": "PATH_OUTSIDE_DATASET_ROOT",
    "link.txt": "PATH_OUTSIDE_DATASET_ROOT",
    "nowhere.txt": "DATASET_FILE_NOT_FOUND",
    "folder.txt": "DATASET_FILE_NOT_FOUND",
    "broken.jsonl": "INVALID_DATASET",
    "a\0b.txt": "BAD_USER_INPUT",
  };
  for (const [path, code] of Object.entries(refusals))
    assert.deepEqual(await refusal(register, { name: "x", source: { path } }), [code, "input.source.path"], path);
  const bad = "BAD_USER_INPUT";
  assert.deepEqual(await refusal(register, { name: "x" }), [bad, "input"]);
  assert.deepEqual(await refusal(register, { name: "x", source: { path: "a.txt", texts: ["a"] } }), [bad, "input.source"]);
  assert.deepEqual(await refusal(register, { name: " ", source: { texts: ["a"] } }), [bad, "input.name"]);
  assert.deepEqual(await refusal(register, { name: "literature-train", source: { texts: ["a"] } }), [bad, "input.name"]);
  assert.deepEqual(await refusal(register, { name: "x", source: { texts: [" "] } }), ["INVALID_DATASET", "input.source.texts"]);
  assert.deepEqual(await refusal(prune, { subject: { modelId }, dataset: { name: "questions" } }), [bad, "input.dataset"]);
  assert.deepEqual(await refusal(evaluate, { subject: { modelId }, dataset: { name: "questions", id: modelId } }), [bad, "input.dataset"]);
  assert.deepEqual(await refusal(evaluate, { subject: { modelId }, dataset: { name: "questions" }, stride: 257 }), [bad, "input.stride"]);
  assert.deepEqual(await refusal(evaluate, { subject: { modelId }, dataset: { name: "questions" }, maxItems: 0 }), [bad, "input.maxItems"]);
});

test("a file that was sent becomes a dataset, and its records can be looked at", async () => {
  const create = "mutation($input: CreateUploadInput!) { createUpload(input: $input) { upload { id files { url } } } }";
  const sent = async (path: string, text: string, sha256?: string) => {
    const files = [{ path, sizeBytes: Buffer.byteLength(text), sha256 }];
    const { upload } = (await api.data(create, { input: { files } })).createUpload;
    const answer = await fetch(new URL(upload.files[0].url, api.url), { method: "PUT", body: text });
    assert.ok(answer.ok);
    return upload.id as string;
  };
  const records = [
    { prompt: "How many legs has a whale?", answer: "None" },
    { prompt: "A line\u2028that is\u2029one", answer: "x".repeat(2001) },
  ];
  const uploadId = await sent("asked.jsonl", records.map((record) => JSON.stringify(record)).join("\n"));
  const input = { name: "asked", source: { uploadId } };
  const { dataset } = (await api.data(register, { input })).registerDataset;
  assert.deepEqual([dataset.form, dataset.recordCount], ["GENERATION", 2]);
  const look =
    "query($id: ID!, $count: Int! = 5, $skip: Int! = 0) { dataset(id: $id) { origin records(count: $count, skip: $skip) { index text choices gold answer isCut } } }";
  const looked = await api.data(look, { id: dataset.id });
  const none = { choices: [], gold: null };
  assert.deepEqual(looked.dataset, {
    origin: "REGISTERED",
    records: [
      { ...none, index: 0, text: records[0]?.prompt, answer: "None", isCut: false },
      { ...none, index: 1, text: records[1]?.prompt, answer: "x".repeat(2000), isCut: true },
    ],
  });
  const { datasets } = await api.data('{ datasets(first: 9, filter: { name: "questions" }) { nodes { id } } }');
  assert.deepEqual((await api.data(look, { id: datasets.nodes[0].id, count: 1, skip: 1 })).dataset.records, [
    { index: 1, text: " of the United States", choices: ["The whale", "The Congress"], gold: 1, answer: null, isCut: false },
  ]);
  const { errors } = await api.ask(look, { id: dataset.id, count: 51 });
  assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], ["BAD_USER_INPUT", "count"]);
  // It is gone with what was made of it; what was no dataset can be tried again.
  assert.deepEqual(await refusal(register, input), ["UPLOAD_NOT_FOUND", "input.source.uploadId"]);
  for (const [name, text, code, sha256] of [
    ["asked.csv", "a,b", "INVALID_DATASET"],
    ["broken.jsonl", '"a"\n{', "INVALID_DATASET"],
    ["other.txt", "other", "DIGEST_MISMATCH", "0".repeat(64)],
  ] as const) {
    const bad = { name: "bad", source: { uploadId: await sent(name, text, sha256) } };
    for (let i = 0; i < 2; i++) assert.deepEqual(await refusal(register, bad), [code, "input.source.uploadId"], name);
  }
});

test("a child is measured against its parent, and not on what it was pruned with", async () => {
  const paragraphs = (n: number) =>
    Array.from({ length: 60 }, (_, i) => `In the year ${n}${i} the whale ${i * n} sank ${i + 3} ships of ${n} tons`);
  const calibration = [paragraphs(7).join(" and "), paragraphs(11).join(", then ")];
  const options = { samples: 2, sequenceLength: 32, targetRatio: 0.05, executionProvider: "CPU" };
  const {
    startPruning: { run },
  } = await api.data(prune, { input: { subject: { modelId }, dataset: { texts: calibration }, options } });
  const child = await until("the run ends", async () => {
    const { pruningRun } = await api.data("query($id: ID!) { pruningRun(id: $id) { status error { message } resultModel { id } } }", {
      id: run.id,
    });
    assert.notEqual(pruningRun.status, "FAILED", JSON.stringify(pruningRun.error));
    return pruningRun.resultModel?.id as string | undefined;
  });

  const leaky = { subject: { modelId: child }, dataset: { texts: [paragraphs(11).join(", THEN "), paragraphs(13).join(" or ")] } };
  const { errors } = await api.ask(evaluate, { input: leaky });
  assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], ["DATASET_OVERLAP", "input.dataset"]);
  const ratio = errors?.[0]?.extensions["overlapRatio"] as number;
  assert.ok(ratio > 0.4 && ratio < 0.6, `${ratio}`);
  assert.match(errors?.[0]?.message ?? "", /in the year 110 the whale/);
  assert.deepEqual(await refusal(evaluate, { subject: { modelId: child }, dataset: { texts: calibration } }), [
    "DATASET_OVERLAP",
    "input.dataset",
  ]);
  const allowed = await evaluated({ ...leaky, allowOverlap: true, maxTokens: 50, measureSpeed: false });
  assert.equal(allowed.overlapRatio, ratio);
  assert.equal(
    (await evaluated({ ...leaky, subject: { modelId }, maxTokens: 50, measureSpeed: false })).overlapRatio,
    0,
    "the parent was not pruned",
  );

  const heldOut = { dataset: { name: "literature-heldout" }, sequenceLength: 64, stride: 32, maxTokens: 500 };
  const before = await evaluated({ ...heldOut, subject: { modelId } });
  assert.equal(before.retained, null);
  const after = await evaluated({ ...heldOut, subject: { modelId: child } });
  assert.deepEqual([after.stride, after.sequenceLength, after.maxTokens, after.maxItems], [32, 64, 500, null]);
  assert.equal(after.comparisonKey, before.comparisonKey);
  assert.deepEqual(after.retained, {
    parent: { id: before.id },
    accuracyRatio: after.result.nextTokenAccuracy / before.result.nextTokenAccuracy,
    aboveChanceRatio: null,
    normalizedAccuracyRatio: null,
    byteNormalizedAccuracyRatio: null,
    perplexityRatio: after.result.perplexity / before.result.perplexity,
    decodeSpeedRatio: after.result.decodeTokensPerSecond / before.result.decodeTokensPerSecond,
  });
  assert.ok(after.result.perplexityStandardError > 0 && after.result.decodeTokensPerSecond > 0 && after.result.peakMemoryBytes > 0);
  const other = await evaluated({ ...heldOut, subject: { modelId: child }, stride: 64, measureSpeed: false });
  assert.notEqual(other.comparisonKey, before.comparisonKey);
  assert.deepEqual([other.retained, other.result.decodeTokensPerSecond], [null, null]);
  const answers = await evaluated({ subject: { modelId: child }, dataset: { name: "questions" }, sequenceLength: 32, measureSpeed: false });
  assert.equal(answers.retained.accuracyRatio, answers.result.accuracy / parentAccuracy, "whatever the length of windows");
  assert.equal(answers.result.chanceAccuracy, 0.5, "two choices each");
  const above = parentAccuracy > 0.5 ? Math.max(0, answers.result.accuracy - 0.5) / (parentAccuracy - 0.5) : null;
  assert.equal(answers.retained.aboveChanceRatio, above);

  // Characters and bytes answer these otherwise: each ratio is of its own.
  const apart = { subject: { modelId: child }, dataset: { name: "apart" }, measureSpeed: false };
  const items = ["…………", "zq zq"].map((_, gold) => ({ context: "The sea", choices: [" …………", " zq zq"], gold }));
  await writeFile(join(root, "apart.jsonl"), [...items, items[0]].map((item) => `${JSON.stringify(item)}\n`).join(""));
  await api.data(register, { input: { name: "apart", source: { path: "apart.jsonl" } } });
  const { result: theirs } = await evaluated({ ...apart, subject: { modelId } });
  const { result: mine, retained } = await evaluated(apart);
  assert.notEqual(theirs.normalizedAccuracy, theirs.byteNormalizedAccuracy);
  assert.ok(theirs.normalizedAccuracyStandardError > 0 && theirs.byteNormalizedAccuracyStandardError > 0);
  assert.equal(retained.normalizedAccuracyRatio, mine.normalizedAccuracy / theirs.normalizedAccuracy);
  assert.equal(retained.byteNormalizedAccuracyRatio, mine.byteNormalizedAccuracy / theirs.byteNormalizedAccuracy);

  const compare = `query($modelId: ID!, $runIds: [ID!]) { comparison(modelId: $modelId, runIds: $runIds) {
    model { id } columns { comparisonKey evaluation { dataset { name } } }
    rows { model { id } run { id method removedRatio peakMemoryBytes } evaluations { id retained { accuracyRatio } } }
  } }`;
  const { comparison } = await api.data(compare, { modelId });
  assert.deepEqual(comparison.model, { id: modelId });
  const column = comparison.columns.findIndex((c: { comparisonKey: string }) => c.comparisonKey === before.comparisonKey);
  assert.equal(comparison.columns[column].evaluation.dataset.name, "literature-heldout");
  const [parentRow, childRow, ...more] = comparison.rows;
  assert.deepEqual([parentRow.model.id, parentRow.run, childRow.model.id, childRow.run.id, more], [modelId, null, child, run.id, []]);
  assert.ok(childRow.run.removedRatio >= 0.05 && childRow.run.peakMemoryBytes > 30e6);
  assert.deepEqual([parentRow.evaluations[column].id, childRow.evaluations[column].id], [before.id, after.id]);
  assert.equal(childRow.evaluations[column].retained.accuracyRatio, after.retained.accuracyRatio);
  const lonely = comparison.columns.findIndex((c: { comparisonKey: string }) => c.comparisonKey === other.comparisonKey);
  assert.deepEqual([parentRow.evaluations[lonely], childRow.evaluations[lonely].id], [null, other.id]);
  const { comparison: none } = await api.data(compare, { modelId, runIds: [] });
  assert.deepEqual(
    none.rows.map((r: { run: object | null }) => r.run),
    [null],
  );
  const { errors: nobody } = await api.ask(compare, { modelId: "00000000-0000-7000-8000-000000000000" });
  assert.deepEqual([nobody?.[0]?.extensions["code"], nobody?.[0]?.extensions["argument"]], ["MODEL_NOT_FOUND", "modelId"]);

  const against = { modelId, prompts: 2, newTokens: 4 };
  const beside = await evaluated({ ...heldOut, subject: { modelId: child }, maxTokens: 500, against, measureSpeed: false });
  assert.deepEqual(beside.against, { model: { id: modelId }, prompts: 2, newTokens: 4 });
  assert.equal(beside.comparisonKey, before.comparisonKey, "its perplexity is measured as before");
  assert.equal(beside.result.perplexity, after.result.perplexity);
  assert.ok(beside.result.divergence > 0 && beside.result.divergenceStandardError > 0);
  assert.ok(beside.result.greedyAgreement > 0 && beside.result.greedyAgreement < 1 && beside.result.greedyAgreementStandardError > 0);
  assert.ok(beside.result.commonBeginningTokens >= 0 && beside.result.commonBeginningTokens <= 4);
  assert.deepEqual([after.against, after.result.divergence, beside.result.promptCount], [null, null, 2]);
});

test("answers that a model writes are those that it gives when it is asked, and are held against its parent's", async () => {
  const prompts = ["The white whale", "Call me"];
  const written: string[] = [];
  for (const prompt of prompts) {
    const ask = "mutation($input: GenerateInput!) { generate(input: $input) { text } }";
    written.push((await api.data(ask, { input: { modelId, prompt: { text: prompt }, maxTokens: 8, temperature: 0 } })).generate.text);
  }
  const items = [...prompts.map((prompt, i) => ({ prompt, answer: written[i] })), { prompt: "The", answer: "Leviathan never" }];
  await writeFile(join(root, "prompts.json"), JSON.stringify(items));
  const { dataset } = (await api.data(register, { input: { name: "prompts", source: { path: "prompts.json" } } })).registerDataset;
  assert.deepEqual([dataset.form, dataset.recordCount], ["GENERATION", 3]);
  const asked = { subject: { modelId }, dataset: { name: "prompts" }, maxNewTokens: 8, measureSpeed: false };
  const found = await evaluated(asked);
  assert.deepEqual([found.result.itemCount, found.result.exactMatch, found.result.chanceAccuracy], [3, 2 / 3, 0]);
  assert.ok(found.result.exactMatchStandardError > 0);
  assert.deepEqual([found.maxNewTokens, found.stop, found.answer], [8, [], null]);
  const other = await evaluated({ ...asked, answer: { pattern: "(\\w+)" } });
  assert.notEqual(other.comparisonKey, found.comparisonKey);
  assert.deepEqual(other.answer, { pattern: "(\\w+)", match: "FIRST" });
  assert.deepEqual(await refusal(evaluate, { ...asked, answer: { pattern: "(?=a)" } }), ["INVALID_PATTERN", "input.answer.pattern"]);
  assert.deepEqual(await refusal(evaluate, { ...asked, maxNewTokens: 0 }), ["BAD_USER_INPUT", "input.maxNewTokens"]);
  assert.deepEqual(await refusal(evaluate, { ...asked, stop: [""] }), ["BAD_USER_INPUT", "input.stop"]);
  assert.deepEqual(await refusal(prune, { subject: { modelId }, dataset: { name: "prompts" } }), ["BAD_USER_INPUT", "input.dataset"]);
});

test("what a model cannot be held against is refused before anything is stored", async () => {
  const { store } = api.services;
  const { id: stranger } = await newModel(store, "a model of other tokens");
  const before = await store.prisma.run.count();
  const rows: readonly (readonly [against: object, code: string, argument: string, more?: object])[] = [
    [{ modelId: stranger }, "AGAINST_DIFFERS", "input.against.modelId"],
    [{ modelId }, "BAD_USER_INPUT", "input.against.modelId"],
    [{ modelId: "018f0000-0000-7000-8000-000000000000" }, "MODEL_NOT_FOUND", "input.against.modelId"],
    [{ modelId: stranger, prompts: 1001 }, "BAD_USER_INPUT", "input.against.prompts"],
    [{ modelId: stranger, newTokens: 0 }, "BAD_USER_INPUT", "input.against.newTokens"],
  ];
  for (const [against, code, argument] of rows)
    assert.deepEqual(
      await refusal(evaluate, { subject: { modelId }, dataset: { name: "literature-heldout" }, against }),
      [code, argument],
      JSON.stringify(against),
    );
  // Of the same tokens, but the dataset has no text to go on from.
  const own = await store.prisma.model.findUniqueOrThrow({ where: { id: modelId }, include: { files: true } });
  const { id: _, createdAt: __, files, ...fields } = own;
  const data = {
    ...fields,
    architecture: fields.architecture as object,
    operators: fields.operators as object,
    pruningObstacle: undefined,
  };
  const twin = await store.prisma.model.create({
    data: { ...data, name: "twin", files: { create: files.map(({ path, sha256 }) => ({ path, sha256 })) } } as never,
  });
  const asked = { subject: { modelId }, dataset: { name: "questions" }, against: { modelId: twin.id } };
  assert.deepEqual(await refusal(evaluate, asked), ["BAD_USER_INPUT", "input.against"]);
  assert.equal(await store.prisma.run.count(), before);
});

test("an evaluation tells how far it is, and ends by request", async () => {
  const input = { subject: { modelId }, dataset: { name: "literature-heldout" }, sequenceLength: 256, stride: 8, executionProvider: "CPU" };
  const {
    startEvaluation: { run: asked },
  } = await api.data(evaluate, { input });
  assert.deepEqual([asked.status, asked.progress], ["QUEUED", 0]);
  const query = "subscription($id: ID!) { runProgress(runId: $id) { run { status progress finishedAt } } }";
  const seen: { status: string; progress: number }[] = [];
  for await (const { data, errors } of api.socket().iterate({ query, variables: { id: asked.id } })) {
    assert.equal(errors, undefined);
    const { run: evaluation } = (data as { runProgress: { run: (typeof seen)[0] } }).runProgress;
    seen.push(evaluation);
    if (evaluation.progress > 0 && evaluation.status === "RUNNING")
      await api.ask("mutation($id: ID!) { cancelRun(input: { id: $id }) { run { status } } }", { id: asked.id });
  }
  assert.equal(seen.at(-1)?.status, "CANCELLED");
  assert.ok(seen.some((s) => s.progress > 0 && s.progress < 1));
  assert.ok(seen.every((s, i) => s.progress >= (seen[i - 1]?.progress ?? 0)));
  const cancel = "mutation($input: ID!) { cancelRun(input: { id: $input }) { run { id } } }";
  const { errors } = await api.ask(cancel, { input: asked.id });
  assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["status"]], ["RUN_NOT_CANCELLABLE", "CANCELLED"]);
  const nobody = await api.ask(cancel, { input: "00000000-0000-7000-8000-000000000000" });
  assert.deepEqual([nobody.errors?.[0]?.extensions["code"], nobody.errors?.[0]?.extensions["argument"]], ["RUN_NOT_FOUND", "input.id"]);
  // The worker is free again.
  await evaluated({ subject: { modelId }, dataset: { name: "questions" }, measureSpeed: false });
});

test("a dataset whose records were lost fails its evaluation with the reason", async () => {
  const {
    registerDataset: { dataset },
  } = await api.data(register, { input: { name: "lost", source: { texts: ["Lost at sea, with all hands."] } } });
  await rm(join(api.services.dataDirectory, "artifacts", dataset.digest));
  const {
    startEvaluation: { run: asked },
  } = await api.data(evaluate, { input: { subject: { modelId }, dataset: { id: dataset.id } } });
  const { status, error } = await finished(asked.id);
  assert.deepEqual([status, error.code], ["FAILED", "ARTIFACT_MISSING"]);
  assert.deepEqual(api.log, []);
});
