import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { earlierResult, makeOnce } from "../../src/store/request-keys.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";

let database: TestDatabase;
before(async () => {
  database = await testDatabase();
});
after(() => database.close());

const result = "01a2166d-0000-7000-8000-000000000001";
const asked = { operation: "prune", owner: null, key: "k" } as const;
const request = { model: "m", options: { seed: 1, kinds: ["LAYER", "MLP"], normalization: null } };

test("a request is the same whatever the order of its fields, as those of another version may come; of a list the order counts", async () => {
  const { prisma } = database.store;
  assert.equal(await prisma.$transaction((tx) => makeOnce(tx, { ...asked, request }, async () => result)), result);
  const turned = { options: { normalization: null, kinds: ["LAYER", "MLP"], seed: 1 }, model: "m" };
  assert.equal(await earlierResult(prisma, { ...asked, request: turned }), result);
  const never = () => assert.fail("it was made before");
  assert.equal(await prisma.$transaction((tx) => makeOnce(tx, { ...asked, request: turned }, never)), result);
  for (const other of [
    { ...request, options: { ...request.options, kinds: ["MLP", "LAYER"] } },
    { ...request, options: { ...request.options, seed: 2 } },
  ])
    await assert.rejects(earlierResult(prisma, { ...asked, request: other }), { code: "IDEMPOTENCY_KEY_REUSED" });
});

test("a key is one of its operation, and of its owner", async () => {
  const { prisma } = database.store;
  for (const other of [{ operation: "register" }, { owner: "ann" }, { key: "other" }])
    assert.equal(await earlierResult(prisma, { ...asked, ...other, request }), null);
});
