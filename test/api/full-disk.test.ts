import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { startServer } from "../../src/api/server.ts";
import { diskFull } from "../../src/errors.ts";
import { type Answer, testApi } from "../support/api.ts";
import { newModel } from "../support/records.ts";
import { smallDisk } from "../support/small-disk.ts";

test("on a full disk nothing that stores texts succeeds, and it says why; with room again it does", async (t) => {
  const disk = await smallDisk();
  if (!disk) return t.skip("no file system can be mounted here");
  const api = await testApi({ worker: false });
  const log: string[] = [];
  const logger = pino({ level: "warn" }, { write: (line) => void log.push(line) });
  const server = await startServer({ ...api.services, dataDirectory: disk.folder }, "127.0.0.1", 0, logger);
  try {
    const { prisma } = api.services.store;
    const { id: modelId } = await newModel(api.services.store, "model");
    const texts = ["It was a bright cold day in April. ".repeat(20_000)];
    const requests = [
      ["registerDataset", "RegisterDatasetInput", { name: "long", source: { texts } }],
      ["startPruning", "StartPruningInput", { subject: { modelId }, dataset: { texts: [`${texts[0]} And on.`] } }],
      [
        "startEvaluation",
        "StartEvaluationInput",
        { subject: { modelId }, dataset: { texts: [`${texts[0]} And so on.`] }, sequenceLength: 16 },
      ],
    ] as const;
    const ask = async ([field, type, input]: (typeof requests)[number]): Promise<Answer> => {
      const query = `mutation($input: ${type}!) { ${field}(input: $input) { __typename } }`;
      const headers = { "content-type": "application/json" };
      const response = await fetch(server.url, { method: "POST", headers, body: JSON.stringify({ query, variables: { input } }) });
      return (await response.json()) as Answer;
    };
    await disk.fill(64 << 10);
    for (const request of requests) {
      const { errors } = await ask(request);
      assert.equal(errors?.[0]?.extensions["code"], "DISK_FULL", `${request[0]}: ${JSON.stringify(errors)}`);
      assert.doesNotMatch(JSON.stringify(errors), new RegExp(disk.folder));
    }
    assert.deepEqual([await prisma.dataset.count(), await prisma.run.count()], [0, 0]);
    assert.deepEqual(await readdir(join(disk.folder, "artifacts")), [], "nothing half written is left");
    await disk.empty();
    for (const request of requests) assert.equal((await ask(request)).errors, undefined, request[0]);
  } finally {
    await server.stop();
    await api.close();
    await disk.close();
  }
});

test("a full disk of the database is told as well, however it is wrapped", () => {
  const postgres = Object.assign(new Error("could not extend file"), { code: "53100" });
  const wrapped = Object.assign(new Error("Raw query failed"), {
    code: "P2010",
    meta: { driverAdapterError: { cause: { originalCode: "53100" } } },
  });
  assert.deepEqual([diskFull(postgres)?.code, diskFull(wrapped)?.code], ["DISK_FULL", "DISK_FULL"]);
  assert.deepEqual([diskFull(new Error("x")), diskFull(null), diskFull("ENOSPC")], [null, null, null]);
});
