import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createToken } from "../../src/store/tokens.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
let modelId: string;
before(async () => {
  api = await testApi();
  const register = 'mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }';
  modelId = (await api.data(register)).registerModel.model.id;
});
after(() => api.close());

const planned = `query($input: StartPruningInput!) { pruningPlan(input: $input) {
  model { id parameterCount structures { kind count parameterCount } } isPending targetParameterCount reachableRatio structuresPerIteration
  structures { kind count removable parameterCount } fewestIterations mostIterations leastMs mostMs measuredBy { id }
} }`;
const start = "mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }";
const dataset = { name: "literature-train" };
const quick = { samples: 1, sequenceLength: 16, executionProvider: "CPU" };
const plan = async (options: object, subject: object = { modelId }) =>
  (await api.data(planned, { input: { subject, dataset, options: { ...quick, ...options } } })).pruningPlan;

test("a plan counts what may go; the run that it is of does as it says, and plans after it are measured", async () => {
  const options = { structureKinds: ["HEAD", "CHANNEL"], targetRatio: 0.3, structuresPerIteration: 100 };
  const before = await plan(options);
  const { parameterCount, structures } = before.model;
  assert.equal(before.targetParameterCount, Math.floor(parameterCount * 0.7));
  // One head of each attention and one channel of each feed-forward branch stay.
  for (const kind of options.structureKinds) {
    const groups = structures.filter((group: { kind: string }) => group.kind === kind);
    const sum = (of: (group: { count: number; parameterCount: number }) => number) =>
      groups.reduce((n: number, group: never) => n + of(group), 0);
    assert.deepEqual(
      before.structures.find((each: { kind: string }) => each.kind === kind),
      {
        kind,
        count: sum(({ count }) => count),
        removable: sum(({ count }) => count - 1),
        parameterCount: sum((group) => (group.count - 1) * group.parameterCount),
      },
    );
  }
  assert.deepEqual([before.leastMs, before.mostMs, before.measuredBy, before.isPending], [null, null, [], false]);
  const { startPruning } = await api.data(start, { input: { subject: { modelId }, dataset, options: { ...quick, ...options } } });
  const { id } = startPruning.run;
  const query =
    "query($id: ID!) { pruningRun(id: $id) { status startedAt finishedAt iterations { index } error { message } resultModel { id } } }";
  const pending = await plan({}, { resultOf: id });
  assert.deepEqual([pending.isPending, pending.model.id], [true, modelId]);
  const run = await until("the run ends", async () => {
    const { pruningRun } = await api.data(query, { id });
    return pruningRun.finishedAt === null ? null : pruningRun;
  });
  assert.equal(run.status, "SUCCEEDED", JSON.stringify(run.error));
  const done = run.iterations.length;
  assert.ok(
    before.fewestIterations <= done && done <= before.mostIterations,
    `${before.fewestIterations} ${done} ${before.mostIterations}`,
  );
  // Reckoned by itself, it takes as long as it took; half as many samples of half the length take no more than a quarter.
  const again = await plan(options);
  const took = Date.parse(run.finishedAt) - Date.parse(run.startedAt);
  assert.deepEqual(again.measuredBy, [{ id }]);
  assert.ok(again.leastMs <= took * 1.1 && took <= again.mostMs * 1.1, `${again.leastMs} ${took} ${again.mostMs}`);
  const larger = await plan({ ...options, samples: 2, sequenceLength: 32 });
  assert.ok(Math.abs(larger.mostMs / again.mostMs - 4) < 1e-9);
  const other = await api.data(planned, { input: { subject: { modelId }, dataset, method: "RANDOM", options: quick } });
  assert.equal(other.pruningPlan.leastMs, null);
});

test("a plan tells how much may go at most: beyond it a run fails", async () => {
  const { model, ...layers } = await plan({ protectFirst: 1 });
  const own = model.structures.filter((group: { kind: string }) => group.kind === "LAYER");
  // The run below tells by another door what may go at most; of layers alone it is what the plan says of them.
  const [whole, alone] = [await plan({}), await plan({ structureKinds: ["ATTENTION"] })];
  for (const { structures, reachableRatio } of [whole, alone]) {
    assert.deepEqual([structures[0].count, structures[0].removable], [own.length, own.length - 1]);
    assert.ok(Math.abs(structures[0].parameterCount / model.parameterCount - reachableRatio) < 1e-9);
  }
  assert.deepEqual([layers.structures[0].count, layers.structures[0].removable], [own.length - 1, own.length - 1]);
  const free = own.slice(1).reduce((n: number, group: { parameterCount: number }) => n + group.parameterCount, 0);
  assert.ok(Math.abs(layers.reachableRatio - free / model.parameterCount) < 1e-9);
  const { startPruning } = await api.data(start, {
    input: {
      subject: { modelId },
      dataset,
      method: "RANDOM",
      options: { ...quick, protectFirst: 1, targetRatio: layers.reachableRatio + 0.01 },
    },
  });
  await until("the run fails", async () => {
    const { run } = await api.data("query($id: ID!) { run(id: $id) { error { code } } }", { id: startPruning.run.id });
    return run.error?.code === "TARGET_UNREACHABLE";
  });
});

test("a plan is checked as a run is, and stores nothing", async () => {
  const { prisma } = api.services.store;
  const counts = async () => [await prisma.run.count(), await prisma.dataset.count()];
  const before = await counts();
  const bad = async (input: object) => {
    const [plan, run] = await Promise.all([api.ask(planned, { input }), api.ask(start, { input })]);
    assert.deepEqual(plan.errors?.[0]?.extensions, run.errors?.[0]?.extensions);
    return plan.errors?.[0]?.extensions["argument"];
  };
  assert.equal(await bad({ subject: { modelId }, dataset, options: { targetRatio: 2 } }), "input.options.targetRatio");
  assert.equal(await bad({ subject: { modelId }, dataset: { name: "nothing" } }), "input.dataset.name");
  assert.equal(await bad({ subject: { modelId: "nothing" }, dataset }), "input.subject.modelId");
  await api.data(planned, { input: { subject: { modelId }, dataset: { texts: ["A text that nobody has sent before."] } } });
  assert.deepEqual(await counts(), before);
});

test("administrators read the server's settings, of which secrets are never told", async () => {
  const query =
    "{ serverSettings { isOpen nodeVersion settings { name value isSecret isSet } limits { name value } } viewer { tokenId tokenExpiresAt } }";
  const { serverSettings, viewer } = await api.data(query);
  assert.deepEqual(viewer, { tokenId: null, tokenExpiresAt: null });
  assert.equal(serverSettings.isOpen, true);
  const named = (name: string) => serverSettings.settings.find((each: { name: string }) => each.name === name);
  assert.deepEqual(named("DATABASE_URL"), { name: "DATABASE_URL", value: null, isSecret: true, isSet: true });
  assert.deepEqual(named("ESPALIER_HUB_TOKEN"), { name: "ESPALIER_HUB_TOKEN", value: null, isSecret: true, isSet: false });
  assert.deepEqual(named("PORT"), { name: "PORT", value: "4000", isSecret: false, isSet: true });
  assert.ok(!JSON.stringify(serverSettings).includes("postgres"));
  assert.ok(serverSettings.limits.some(({ name, value }: { name: string; value: number }) => name === "depth" && value > 0));
  const expiresAt = new Date(Date.now() + 60_000);
  const { secret, token } = await createToken(api.services.store.prisma, { name: "ann", role: "PRUNE", expiresAt });
  const asked = await api.ask("{ viewer { tokenId tokenExpiresAt } }", {}, secret);
  assert.deepEqual(asked.data.viewer, { tokenId: token.id, tokenExpiresAt: expiresAt.toISOString() });
  assert.equal((await api.ask(query, {}, secret)).errors?.[0]?.extensions["code"], "FORBIDDEN");
});
