import assert from "node:assert/strict";
import { chmod, copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { materialise } from "../../src/artifacts/model-files.ts";
import { standsOf } from "../../src/jobs/run-kinds.ts";
import { startWorker, type Worker } from "../../src/jobs/worker.ts";
import { deleteModel } from "../../src/services/delete-model.ts";
import { type Finding, fsck } from "../../src/services/fsck.ts";
import { findModels, getModel, modelFiles } from "../../src/store/models.ts";
import { cancelRun, getRun, resumeRun } from "../../src/store/runs.ts";
import { modelRoot } from "../support/ahab.ts";
import { allEvents, eventOf, type JobBench, jobBench } from "../support/jobs.ts";
import { registerFolder } from "../support/register.ts";
import { smallDisk } from "../support/small-disk.ts";

let bench: JobBench;
before(async () => {
  bench = await jobBench();
});
after(() => bench.close());

const at = (...path: string[]) => join(bench.dataDirectory, ...path);
const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

async function findings(repair: boolean, graceMs = 0): Promise<Finding[]> {
  const found: Finding[] = [];
  for await (const finding of fsck({ store: bench.store, dataDirectory: bench.dataDirectory, repair, graceMs })) found.push(finding);
  return found;
}

async function pruned(targetRatio: number): Promise<string> {
  const { id } = await bench.prune({ targetRatio });
  const worker = await startWorker(bench.queue, bench);
  await allEvents(bench, id);
  await worker.stop();
  return (await getRun(bench.store.prisma, id)).resultModelId as string;
}

test("a model with descendants or runs under way is kept; deleted, it takes the files that only it has", async () => {
  const { store, ahab } = bench;
  const childId = await pruned(0.05);
  assert.deepEqual(await findings(false), []);
  await assert.rejects(deleteModel(bench, ahab.id, false), { code: "MODEL_HAS_DESCENDANTS", details: { id: ahab.id, children: 1 } });
  const waiting = await bench.prune();
  await assert.rejects(deleteModel(bench, ahab.id, true), { code: "MODEL_IN_USE" });
  await cancelRun(store, waiting.id);

  const child = await getModel(store.prisma, childId);
  const [own, shared] = [await modelFiles(store.prisma, childId), await modelFiles(store.prisma, ahab.id)];
  await materialise({ dataDirectory: bench.dataDirectory, digest: child.digest, files: own });
  await deleteModel(bench, ahab.id, true);
  const [gone, orphan] = await findModels(store.prisma, [ahab.id, childId]);
  assert.deepEqual([gone, orphan?.parentId], [null, null]);
  for (const file of own) assert.ok(await exists(at("artifacts", file.sha256)), `${file.path} is the child's`);
  for (const file of shared)
    assert.equal(
      await exists(at("artifacts", file.sha256)),
      own.some((f) => f.sha256 === file.sha256),
      file.path,
    );
  assert.deepEqual(await findings(false), []);

  await deleteModel(bench, childId, false);
  const datasets = await store.prisma.dataset.findMany();
  assert.deepEqual((await readdir(at("artifacts"))).sort(), datasets.map((dataset) => dataset.digest).sort());
  assert.deepEqual(await readdir(at("models")), []);
  await assert.rejects(deleteModel(bench, childId, false), { code: "MODEL_NOT_FOUND" });
});

test("fsck finds what is missing, spoilt, unreferenced and left over, and repairs what it may", async () => {
  const register = () => registerFolder({ ...bench, modelRoot }, "ahab");
  const { id, digest } = await register();
  const files = await modelFiles(bench.store.prisma, id);
  const [card, config, tokenizer] = ["README.md", "config.json", "tokenizer.json"].map(
    (path) => files.find((f) => f.path === path)?.sha256,
  );
  assert.ok(card && config && tokenizer);
  await materialise({ dataDirectory: bench.dataDirectory, digest, files });
  // Missing, but the model's folder has it; spoilt, and with it the folder's; unreferenced; left over.
  await rm(at("artifacts", card));
  await chmod(at("artifacts", config), 0o644);
  await writeFile(at("artifacts", config), "spoilt");
  await writeFile(at("artifacts", "0".repeat(64)), "nobody's");
  await writeFile(at("artifacts", ".half"), "half a file");
  await mkdir(at("exports", "model-x"), { recursive: true });
  const wrong = [
    ["CORRUPT", config],
    ["LEFTOVER", "artifacts/.half"],
    ["LEFTOVER", "exports/model-x"],
    ["MISSING", card],
    ["UNREFERENCED", "0".repeat(64)],
  ];
  const kinds = (found: readonly Finding[]) => found.map(({ problem, what }) => [problem, what]).sort();
  const seen = await findings(false);
  assert.deepEqual(kinds(seen), wrong);
  assert.deepEqual(seen.find((f) => f.problem === "MISSING")?.owners, ["ahab"]);
  assert.deepEqual(kinds(await findings(false, 3_600_000)), [wrong[0], wrong[3]], "what is young may be at work");

  const repaired = await findings(true);
  assert.deepEqual(kinds(repaired), wrong);
  assert.ok(repaired.every((finding) => finding.repair !== null));
  assert.equal(await readFile(at("corrupt", config), "utf8"), "spoilt");
  assert.deepEqual(kinds(await findings(false)), [["MISSING", config]], "only the right bytes can replace the spoilt ones");
  assert.equal((await register()).id, id);
  assert.deepEqual(await findings(false), []);
  assert.equal(
    (await readFile(join(await materialise({ dataDirectory: bench.dataDirectory, digest, files }), "config.json"))).length > 6,
    true,
  );
});

test("a full disk fails a run and loses nothing; with room again it is resumed to its end", async (t) => {
  const disk = await smallDisk();
  if (!disk) return t.skip("no file system can be mounted here");
  const dataDirectory = disk.folder;
  const services = { ...bench, dataDirectory };
  let worker: Worker | undefined;
  try {
    const { id: modelId } = await registerFolder({ ...services, modelRoot }, "ahab");
    const run = await bench.prune({ targetRatio: 0.1 }, { modelId });
    for (const name of await readdir(at("artifacts")))
      if (!(await exists(join(dataDirectory, "artifacts", name))))
        await copyFile(at("artifacts", name), join(dataDirectory, "artifacts", name));
    await disk.fill(2 << 20);
    worker = await startWorker(bench.queue, services);
    await eventOf(bench, run.id, "FAILED");
    const failed = await getRun(bench.store.prisma, run.id);
    assert.deepEqual([failed.status, failed.error?.code], ["FAILED", "DISK_FULL"]);
    const left = (await readdir(join(dataDirectory, "artifacts"))).filter((name) => name.startsWith("."));
    assert.deepEqual([left, await readdir(join(dataDirectory, "exports"))], [[], []], "nothing half written is left");
    await disk.empty();
    await resumeRun(bench.store, run.id, standsOf, bench.queue.addRun);
    const events = await allEvents(bench, run.id);
    assert.equal(events.at(-1)?.type, "SUCCEEDED", JSON.stringify(events.at(-1)));
    const iterations = events.flatMap((e) => (e.type === "ITERATION" ? e.payload.iteration : []));
    assert.deepEqual(
      iterations,
      iterations.map((_, i) => i),
    );
  } finally {
    await worker?.stop();
    await disk.close();
  }
});
