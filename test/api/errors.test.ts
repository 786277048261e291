import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Fastify from "fastify";
import { pino } from "pino";
import { answerErrors } from "../../src/api/http-errors.ts";
import { cancelRun } from "../../src/store/runs.ts";
import { type Answer, type ApiError, type TestApi, testApi } from "../support/api.ts";
import { newRun } from "../support/records.ts";

let api: TestApi;
before(async () => {
  api = await testApi();
});
after(() => api.close());

function assertMasked(error: ApiError | undefined): void {
  assert.equal(error?.extensions["code"], "INTERNAL_SERVER_ERROR");
  const logId = String(error.extensions["logId"]);
  assert.match(error.message, new RegExp(logId));
  const { path, ...told } = error;
  assert.doesNotMatch(JSON.stringify(told), /Run|Event|relation|prisma/);
  const logged = api.log.filter((line) => line.includes(logId));
  assert.equal(logged.length, 1);
  assert.match(logged[0] as string, /does not exist/);
}

test("an error nobody expected is told by a log id only, and the log has it", async () => {
  await api.services.store.prisma.$executeRaw`ALTER TABLE "Run" RENAME TO "Lost"`;
  const { data, errors } = await api.ask('{ evaluation(id: "00000000-0000-7000-8000-000000000000") { id } }');
  await api.services.store.prisma.$executeRaw`ALTER TABLE "Lost" RENAME TO "Run"`;
  assert.deepEqual(data, { evaluation: null });
  assertMasked(errors?.[0]);
});

test("so is one in the middle of a subscription", async () => {
  const { store } = api.services;
  const { id: runId } = await newRun(store);
  await cancelRun(store, runId);
  await store.prisma.$executeRaw`ALTER TABLE "Event" RENAME TO "LostEvent"`;
  const errors = await new Promise<ApiError[]>((resolve, reject) => {
    const sink = { next: reject, error: (e: unknown) => resolve(e as ApiError[]), complete: reject };
    api.socket().subscribe({ query: `subscription { runProgress(runId: "${runId}") { sequence } }` }, sink);
  });
  assertMasked(errors[0]);
});

test("a client that waits is told of a connection to the database that was reset", async () => {
  const log = pino({ level: "silent" });
  const app = Fastify({ logger: false });
  answerErrors(app, log);
  app.get("/", () => {
    throw Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
  });
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    assert.equal(answer.status, 503);
    const { errors } = (await answer.json()) as Answer;
    assert.equal(errors?.[0]?.extensions["code"], "DATABASE_UNAVAILABLE");
  } finally {
    await app.close();
  }
});
