import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ancestors, descendants } from "../../src/store/lineage.ts";
import { deleteModel, findModels, getModel, listModels, modelFiles, registerRootModel, removeUnused } from "../../src/store/models.ts";
import { structuresOfModels } from "../../src/store/references.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { inspected, newDataset, newModel } from "../support/records.ts";

let database: TestDatabase;
before(async () => {
  database = await testDatabase();
});
after(() => database.close());

test("a model comes back as it was stored", async () => {
  const { prisma } = database.store;
  const model = inspected("round trip");
  const { id } = await registerRootModel(database.store, model, "round trip");
  const { digest, sizeBytes, parameterCount, opset, operators, architecture } = model;
  const { createdAt, ...stored } = await getModel(prisma, id);
  assert.deepEqual(stored, {
    id,
    name: "round trip",
    parentId: null,
    digest,
    sizeBytes,
    parameterCount,
    opset,
    operators,
    architecture,
    pruningObstacle: null,
    notes: [],
    note: "",
    tags: [],
  });
  assert.ok(createdAt instanceof Date);
  assert.deepEqual(await modelFiles(prisma, id), model.files);
  const [structures = []] = await structuresOfModels(prisma, [id]);
  const key = (s: { kind: string; index: number }) => `${s.kind} ${s.index}`;
  const sorted = [...model.structures].sort((x, y) => (key(x) < key(y) ? -1 : 1));
  assert.deepEqual(
    structures,
    sorted.map((s) => ({ modelId: id, expert: null, leastLeft: null, ...s })),
  );
});

test("what keeps a model from being pruned, and what users should know of it, come back too", async () => {
  const pruningObstacle = { code: "UNSUPPORTED_OPERATOR", message: "no gradient of Erf" };
  const model = { ...inspected("unprunable"), pruningObstacle, notes: ["read as Python reads it"] };
  const { id } = await registerRootModel(database.store, model, "unprunable");
  const stored = await getModel(database.store.prisma, id);
  assert.deepEqual([stored.pruningObstacle, stored.notes], [pruningObstacle, model.notes]);
});

test("the same bytes registered five times at once are one model", async () => {
  const models = await Promise.all(Array.from({ length: 5 }, (_, i) => registerRootModel(database.store, inspected("twins"), `twin ${i}`)));
  assert.equal(new Set(models.map((m) => m.id)).size, 1);
});

test("a pruned model with the bytes of a registered one is a model of its own", async () => {
  const root = await registerRootModel(database.store, inspected("root"), "root");
  const child = await newModel(database.store, "root", root.id);
  assert.equal(child.digest, root.digest);
  assert.notEqual(child.id, root.id);
  assert.equal((await registerRootModel(database.store, inspected("root"), "again")).id, root.id);
});

test("ids that are not there, or cannot be, are no models", async () => {
  const { prisma } = database.store;
  const { id } = await newModel(database.store, "found");
  const found = await findModels(prisma, ["nonsense", id, "00000000-0000-7000-8000-000000000000", id.toUpperCase()]);
  assert.deepEqual(
    found.map((m) => m?.name ?? null),
    [null, "found", null, "found"],
  );
  await assert.rejects(getModel(prisma, "nonsense"), { code: "MODEL_NOT_FOUND" });
});

test("a list is paged newest first, and what is added meanwhile moves nothing", async () => {
  const { prisma } = database.store;
  const parent = await newModel(database.store, "family");
  for (let i = 0; i < 5; i++) await newModel(database.store, `kid ${i}`, parent.id);
  const filter = { parentId: parent.id };
  const seen: string[] = [];
  for (let after: string | undefined, more = true; more; ) {
    const page = await listModels(prisma, { first: 2, after }, filter);
    seen.push(...page.items.map((m) => m.name));
    after = page.items.at(-1)?.id;
    more = page.hasNextPage;
    await newModel(database.store, "late", parent.id);
  }
  assert.deepEqual(seen, ["kid 4", "kid 3", "kid 2", "kid 1", "kid 0"]);
  const named = await listModels(prisma, { first: 10 }, { name: "KID 3" });
  assert.deepEqual(
    named.items.map((m) => m.name),
    ["kid 3"],
  );
  const roots = await listModels(prisma, { first: 100 }, { root: true });
  assert.ok(roots.items.every((m) => m.parentId === null));
  await assert.rejects(listModels(prisma, { first: 1, after: "nonsense" }), { code: "BAD_CURSOR" });
});

test("lineage goes up and down, as far as asked", async () => {
  const { prisma } = database.store;
  // a - b - c - d, and b - e
  const a = await newModel(database.store, "a");
  const b = await newModel(database.store, "b", a.id);
  const c = await newModel(database.store, "c", b.id);
  const e = await newModel(database.store, "e", b.id);
  const d = await newModel(database.store, "d", c.id);
  const up = async (id: string, distance: number) => (await ancestors(prisma, id, distance)).map((r) => `${r.model.name}${r.distance}`);
  const down = async (id: string, distance: number, limit = 100) =>
    (await descendants(prisma, id, distance, limit)).map((r) => `${r.model.name}${r.distance}`);
  assert.deepEqual(await up(d.id, 10), ["c1", "b2", "a3"]);
  assert.deepEqual(await up(d.id, 2), ["c1", "b2"]);
  assert.deepEqual(await up(a.id, 10), []);
  assert.deepEqual(await up(d.id, 0), []);
  assert.deepEqual(await down(a.id, 10), ["b1", "c2", "e2", "d3"]);
  assert.deepEqual(await down(a.id, 2), ["b1", "c2", "e2"]);
  assert.deepEqual(await down(a.id, 10, 2), ["b1", "c2"]);
  assert.deepEqual(await down(e.id, 10), []);
});

test("a model with children is deleted only if they may stay without a parent", async () => {
  const { store } = database;
  const { id } = await newModel(store, "mother");
  const children = [await newModel(store, "daughter", id), await newModel(store, "son", id)];
  await assert.rejects(deleteModel(store, id, false), { code: "MODEL_HAS_DESCENDANTS", details: { id, children: 2 } });
  assert.equal((await getModel(store.prisma, id)).id, id, "it is still there");
  await deleteModel(store, id, true);
  await assert.rejects(getModel(store.prisma, id), { code: "MODEL_NOT_FOUND" });
  for (const child of children) assert.equal((await getModel(store.prisma, child.id)).parentId, null);
  await assert.rejects(deleteModel(store, id, true), { code: "MODEL_NOT_FOUND" });
  await assert.rejects(deleteModel(store, "nonsense", true), { code: "MODEL_NOT_FOUND" });
});

test("a deletion leaves the folder to another model of the same bytes, and gives it up with the last", async () => {
  const { store } = database;
  const one = await registerRootModel(store, inspected("shared bytes"), "one");
  const other = await newModel(store, "shared bytes", (await newModel(store, "a parent")).id);
  assert.equal(other.digest, one.digest);
  const files = inspected("shared bytes").files.map((file) => file.sha256);
  const first = await deleteModel(store, one.id, false);
  assert.deepEqual([first.digest, [...first.sha256s].sort()], [null, files.sort()]);
  assert.equal((await deleteModel(store, other.id, false)).digest, one.digest);
});

test("of the files of deleted models those go that nobody has, each once, with their rows", async () => {
  const { store } = database;
  const { id } = await newModel(store, "left alone");
  const [configuration, graph] = inspected("left alone").files.map((file) => file.sha256) as [string, string];
  // Other models have the same configuration.
  await newModel(store, "keeps the configuration");
  const { sha256s } = await deleteModel(store, id, false);
  const removed: string[] = [];
  const { digest: records } = await newDataset(store, "in use");
  const unused = await removeUnused(store, [...sha256s, graph, records], async (sha256) => void removed.push(sha256));
  assert.deepEqual([unused, removed], [[graph], [graph]]);
  const rows = await store.prisma.artifact.findMany({ where: { sha256: { in: [configuration, graph, records] } } });
  assert.deepEqual(rows.map((row) => row.sha256).sort(), [configuration, records].sort());
});
