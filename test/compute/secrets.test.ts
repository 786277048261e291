import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { settleArtifacts } from "../../src/artifacts/artifacts.ts";
import { materialise } from "../../src/artifacts/model-files.ts";
import { childEnvironment } from "../../src/child-environment.ts";
import { computeOnce } from "../../src/compute/compute-once.ts";
import { ComputeProcess } from "../../src/compute/compute-process.ts";
import { datasetFrom } from "../../src/services/register-dataset.ts";
import { modelFiles } from "../../src/store/models.ts";
import { modelRoot } from "../support/ahab.ts";
import { type TestDatabase, temporaryFolder, testDatabase } from "../support/database.ts";
import { registerFolder } from "../support/register.ts";
import { s3Server } from "../support/s3.ts";

/** What a server's environment may hold and no other process needs. */
const secrets = {
  DATABASE_URL: "postgresql://user:secret-value@db/espalier",
  PGPASSWORD: "secret-value",
  AWS_ACCESS_KEY_ID: "secret-value",
  AWS_SECRET_ACCESS_KEY: "secret-value",
  AWS_SESSION_TOKEN: "secret-value",
  NVIDIA_API_KEY: "secret-value",
  HF_TOKEN: "secret-value",
  ESPALIER_ARTIFACTS: "s3://secret-value",
  NPM_CONFIG_AUTH: "secret-value",
};
const onLinux = process.platform === "linux" ? false : "the environment of a process is read from /proc";

let database: TestDatabase;
before(async () => {
  Object.assign(process.env, secrets, { CUDA_VISIBLE_DEVICES: "0" });
  database = await testDatabase();
});
after(async () => {
  for (const name of Object.keys(secrets)) delete process.env[name];
  await database.close();
});

const environmentOf = async (pid: number) => (await readFile(`/proc/${pid}/environ`, "utf8")).split("\0");

test("compute processes and the embedded PostgreSQL get what they need of the environment, and no secret", { skip: onLinux }, async () => {
  const compute = new ComputeProcess();
  try {
    const steps = compute.run("providers", null);
    for (let step = await steps.next(); !step.done; ) step = await steps.next();
    const postmaster = Number((await readFile(join(database.dataDirectory, "postgres/cluster/postmaster.pid"), "utf8")).split("\n")[0]);
    for (const pid of [compute.pid as number, postmaster]) {
      const environment = await environmentOf(pid);
      assert.deepEqual(
        environment.filter((entry) => entry.includes("secret-value")),
        [],
      );
      assert.ok(environment.includes(`PATH=${process.env["PATH"]}`));
    }
    assert.ok((await environmentOf(compute.pid as number)).includes("CUDA_VISIBLE_DEVICES=0"));
  } finally {
    await compute.kill();
  }
});

test("what is needed is listed; everything else stays behind", () => {
  const needed = {
    PATH: "/bin",
    LC_ALL: "C",
    LD_LIBRARY_PATH: "/cuda",
    CUDA_CACHE_PATH: "/c",
    OMP_NUM_THREADS: "2",
    SystemRoot: "C:\\Windows",
  };
  const passed = childEnvironment({ ...needed, ...secrets, PORT: "4000", https_proxy: "http://u:p@proxy" });
  assert.deepEqual(passed, { NVIDIA_TF32_OVERRIDE: "0", MALLOC_TRIM_THRESHOLD_: "131072", ...needed });
  assert.equal(childEnvironment({ NVIDIA_TF32_OVERRIDE: "1" })["NVIDIA_TF32_OVERRIDE"], "1");
});

test("where artifacts lie in S3, a compute process without credentials in its environment works with them", async () => {
  const s3 = await s3Server();
  const dataDirectory = await temporaryFolder();
  try {
    delete process.env["AWS_SESSION_TOKEN"];
    await settleArtifacts(dataDirectory, s3.address);
    const { files } = await computeOnce("inspect", { dataDirectory, modelRoot, path: "ahab" }, new AbortController().signal);
    // On another machine, which has none of them yet.
    await rm(join(dataDirectory, "artifacts"), { recursive: true });
    assert.ok((await readdir(await materialise({ dataDirectory, digest: "d", files }))).includes("config.json"));
  } finally {
    await s3.close();
    await rm(dataDirectory, { recursive: true });
  }
});

test("files of models and datasets are their owner's alone, those of earlier versions too", async () => {
  const { store, dataDirectory } = database;
  for (const folder of ["artifacts", "models"]) {
    await mkdir(join(dataDirectory, folder), { mode: 0o755 });
    await chmod(join(dataDirectory, folder), 0o755);
  }
  await writeFile(join(dataDirectory, "artifacts", "older"), "", { mode: 0o644 });
  await settleArtifacts(dataDirectory, null);
  const services = { store, dataDirectory, modelRoot, datasetRoot: dataDirectory };
  const model = await registerFolder(services, "ahab");
  await (await datasetFrom(services, ["a text"], "mine")).keep();
  await materialise({ dataDirectory, digest: model.digest, files: await modelFiles(store.prisma, model.id) });
  let seen = 0;
  for (const top of ["artifacts", "models"]) {
    assert.equal((await stat(join(dataDirectory, top))).mode & 0o777, 0o700);
    for (const entry of await readdir(join(dataDirectory, top), { recursive: true })) {
      if (entry === "older") continue;
      seen++;
      assert.equal((await stat(join(dataDirectory, top, entry))).mode & 0o077, 0, entry);
    }
  }
  assert.ok(seen > 5);
});
