import assert from "node:assert/strict";
import { isAbsolute, resolve } from "node:path";
import { test } from "node:test";
import { readConfig } from "../src/config.ts";

test("an empty environment gives a server for this machine alone, with all its data in one folder", () => {
  const config = readConfig({});
  assert.deepEqual(
    { ...config, dataDirectory: "", modelRoot: "", datasetRoot: "" },
    {
      role: "all",
      workerProviders: null,
      workerConcurrency: 1,
      host: "127.0.0.1",
      port: 4000,
      allowedHosts: [],
      allowedOrigins: [],
      open: false,
      firstToken: false,
      dataDirectory: "",
      databaseUrl: null,
      artifacts: null,
      modelRoot: "",
      hub: null,
      hubToken: null,
      uploads: 102_400,
      datasetRoot: "",
      modelMemory: null,
      logLevel: "info",
    },
  );
  assert.ok(isAbsolute(config.dataDirectory) && isAbsolute(config.modelRoot));
  assert.ok(Object.isFrozen(config));
});

test("variables that are set count; those set to nothing do not", () => {
  const config = readConfig({
    PORT: "0",
    HOST: "",
    ESPALIER_ROLE: "worker",
    ESPALIER_DATA_DIRECTORY: "somewhere",
    DATABASE_URL: "postgres://user:secret@db/espalier",
    LOG_LEVEL: "silent",
    ESPALIER_ALLOWED_HOSTS: "Espalier.Example.org, gpu-1",
    ESPALIER_ALLOWED_ORIGINS: "https://example.org,http://localhost:3000",
    ESPALIER_OPEN: "true",
    ESPALIER_WORKER_PROVIDERS: "CPU, CUDA",
    ESPALIER_WORKER_CONCURRENCY: "3",
  });
  assert.deepEqual(config.workerProviders, ["CPU", "CUDA"]);
  assert.equal(config.workerConcurrency, 3);
  assert.equal(config.port, 0);
  assert.equal(config.host, "127.0.0.1");
  assert.equal(config.role, "worker");
  assert.equal(config.dataDirectory, resolve("somewhere"));
  assert.equal(config.databaseUrl, "postgres://user:secret@db/espalier");
  assert.equal(config.logLevel, "silent");
  assert.deepEqual(config.allowedHosts, ["espalier.example.org", "gpu-1"]);
  assert.deepEqual(config.allowedOrigins, ["https://example.org", "http://localhost:3000"]);
  assert.deepEqual([config.open, config.firstToken], [true, false]);
});

test("every wrong variable is named at once, without its value", () => {
  assert.throws(() => readConfig({ PORT: "65536", LOG_LEVEL: "loud", DATABASE_URL: "mysql://user:secret@db", ESPALIER_ROLE: "api" }), {
    code: "BAD_CONFIGURATION",
    message:
      "PORT must be a number from 0 to 65535; DATABASE_URL must be a postgresql:// address; " +
      "LOG_LEVEL must be one of fatal, error, warn, info, debug, trace, silent",
  });
  // Anything that is not exactly an origin or a name would never match what a browser sends.
  for (const [variable, values] of Object.entries({
    ESPALIER_ALLOWED_ORIGINS: ["*", "null", "https://example.org/", "https://*.example.org/x", "example.org", "https://EXAMPLE.org"],
    ESPALIER_ALLOWED_HOSTS: ["*", "a b", "example.org:4000", "https://example.org", "-"],
    ESPALIER_OPEN: ["yes", "1", "TRUE"],
  }))
    for (const value of values) assert.throws(() => readConfig({ [variable]: value }), { code: "BAD_CONFIGURATION" }, value);
  for (const port of ["-1", "1.5", "4000x", " 4000"]) assert.throws(() => readConfig({ PORT: port }), { code: "BAD_CONFIGURATION" });
});

test("the program's argument is its role, whatever the variable says", () => {
  assert.equal(readConfig({ ESPALIER_ROLE: "worker" }, "api").role, "api");
  assert.throws(() => readConfig({}, "gardener"), { message: "ESPALIER_ROLE must be one of all, api, worker" });
  for (const wrong of ["CPU,", "CPU,CPU", "cpu", "AUTO"])
    assert.throws(() => readConfig({ ESPALIER_WORKER_PROVIDERS: wrong }), /must list some of CPU, CUDA/);
  for (const wrong of ["0", "65", "1.5"]) assert.throws(() => readConfig({ ESPALIER_WORKER_CONCURRENCY: wrong }), /from 1 to 64/);
});
