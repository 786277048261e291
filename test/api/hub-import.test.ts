import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createToken } from "../../src/store/tokens.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { until } from "../support/wait.ts";

/** The Hub is this server itself, which plays one, behind what a network may do to it. */
let hub: TestApi;
let network: Server;
/** What the network does to the next answers. */
let mischief: (answer: IncomingMessage, path: string) => { readonly after: number } | null = () => null;
/** What went over it. */
let seen: { path: string; range: string | undefined; authorization: string | undefined }[] = [];
let api: TestApi;
let repository: string;
let digest: string;
let token: string;

before(async () => {
  hub = await testApi({ worker: false, server: { recheckMs: 20 } });
  const { registerModel } = await hub.data(
    `mutation { registerModel(input: { source: { path: "ahab" } }) { model { repository digest } } }`,
  );
  ({ repository, digest } = registerModel.model);
  token = (await createToken(hub.services.store.prisma, { name: "reader", role: "READ", expiresAt: null })).secret;
  const to = new URL(hub.url);
  network = createServer((asked, answer) => {
    const { range, authorization } = asked.headers;
    seen.push({ path: asked.url ?? "", range, authorization });
    const passed = request(
      { host: to.hostname, port: to.port, path: asked.url, method: asked.method, headers: { ...asked.headers, host: to.host } },
      (from) => {
        // Before a file is fetched it is asked whether ranges of it are had.
        const done = range === "bytes=0-0" ? null : mischief(from, asked.url ?? "");
        answer.writeHead(from.statusCode ?? 500, from.headers);
        if (!done) return void from.pipe(answer);
        let come = 0;
        from.on("data", (chunk: Buffer) => {
          come += chunk.length;
          answer.write(chunk.subarray(0, chunk.length));
          if (come > done.after) answer.destroy();
        });
        from.on("end", () => answer.end()).on("error", () => {});
      },
    );
    passed.on("error", () => answer.destroy());
    answer.on("close", () => passed.destroy());
    asked.pipe(passed);
  });
  await new Promise<void>((resolve) => network.listen(0, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${(network.address() as AddressInfo).port}`;
  api = await testApi({ hub: { address, token } });
});
after(async () => {
  await api.close();
  network.closeAllConnections();
  network.close();
  await hub.close();
});

const start = `mutation ($hub: HubModelInput!, $name: String) { startImport(input: { source: { hub: $hub }, name: $name }) { run { id } } }`;
const startImport = async (variables: object): Promise<string> =>
  (await api.data(start, { hub: { repository }, ...variables })).startImport.run.id;
const over = async (id: string) => {
  let run: Awaited<ReturnType<TestApi["data"]>>;
  await until("the import is over", async () => {
    ({ run } = await api.data(
      `query ($id: ID!) { run(id: $id) { id status error { code message } resultModel { id name digest remarks files { path } } ... on ImportRun { source } } }`,
      { id },
    ));
    return !["QUEUED", "RUNNING"].includes(run.status);
  });
  return run;
};
const forget = (id: string) => api.data(`mutation ($id: ID!) { deleteModel(input: { id: $id }) { deletedId } }`, { id });
test("a model of a Hub is registered at once", async () => {
  const register = `mutation ($hub: HubModelInput!) { registerModel(input: { source: { hub: $hub } }) { model { id name digest } } }`;
  const { registerModel } = await api.data(register, { hub: { repository } });
  assert.equal(registerModel.model.digest, digest);
  assert.deepEqual(await readdir(join(api.services.dataDirectory, "exports")), []);
  await forget(registerModel.model.id);
  const { errors } = await api.ask(register, { hub: { repository: "nobody/nothing" } });
  const { code, argument } = errors?.[0]?.extensions ?? {};
  assert.deepEqual([code, argument], ["HUB_NOT_FOUND", "input.source.hub"]);
});

const isGraph = (path: string) => path.includes("model.onnx");
const fetched = (id: string) => readdir(join(api.services.dataDirectory, "imports", id), { recursive: true }).catch(() => []);

test("a model of a Hub is fetched with the token, and is the same model", async () => {
  seen = [];
  mischief = () => null;
  const run = await over(await startImport({ name: "from the hub" }));
  assert.equal(run.error, null);
  assert.equal(run.resultModel.digest, digest);
  assert.equal(run.resultModel.name, "from the hub");
  assert.match(run.resultModel.remarks[0], new RegExp(`^made of ${repository} at ${digest.slice(0, 40)}$`));
  assert.equal(run.source, `hub ${repository}@main`);
  assert.ok(seen.every(({ authorization }) => authorization === `Bearer ${token}`));
  await until("what was fetched is gone", async () => (await fetched(run.id)).length === 0);
  assert.ok(!api.log.some((line) => line.includes(token)), "the token is in no log");
  await forget(run.resultModel.id);
});

test("a download that breaks goes on where it was", async () => {
  seen = [];
  let breaks = 3;
  mischief = (_, path) => (isGraph(path) && breaks-- > 0 ? { after: 500_000 } : null);
  const run = await over(await startImport({ name: "broken" }));
  assert.equal(run.error, null);
  assert.equal(run.resultModel.digest, digest);
  const ranges = seen.filter(({ path, range }) => isGraph(path) && range !== undefined && range !== "bytes=0-0").map(({ range }) => range);
  assert.ok(ranges.length === 3 && ranges.every((range) => !range?.startsWith("bytes=0-")), JSON.stringify(seen));
  await forget(run.resultModel.id);
});

test("a Hub that cannot be reached fails the run, which goes on with what has come when it is resumed", async () => {
  let connections = 0;
  // The first connection brings some of the graph; those that follow, nothing.
  mischief = (_, path) => (isGraph(path) ? { after: connections++ === 0 ? 2_000_000 : -1 } : null);
  const id = await startImport({ name: "resumed" });
  const failed = await over(id);
  assert.equal(failed.status, "FAILED");
  assert.equal(failed.error.code, "HUB_UNREACHABLE");
  assert.ok(
    (await fetched(id)).some((name) => name.endsWith("model.onnx.part")),
    "what has come is kept",
  );
  mischief = () => null;
  seen = [];
  await api.data(`mutation ($id: ID!) { resumeRun(input: { id: $id }) { run { id } } }`, { id });
  const run = await over(id);
  assert.equal(run.error, null);
  assert.equal(run.resultModel.digest, digest);
  const rest = seen.filter(({ path, range }) => isGraph(path) && range !== "bytes=0-0");
  assert.ok(rest.length === 1 && Number(/^bytes=(\d+)-/.exec(rest[0]?.range ?? "")?.[1]) > 1_000_000, JSON.stringify(rest));
  assert.ok(!seen.some(({ path }) => path.includes("/config.json")), "what had come whole is not fetched again");
  await forget(run.resultModel.id);
});

test("what a Hub has not, or does not give, is said", async () => {
  mischief = () => null;
  const codes: Record<string, object> = {
    HUB_NOT_FOUND: { repository: "espalier/ahab-0123456789" },
    FILE_NOT_FOUND: { repository, files: ["other.onnx"] },
  };
  for (const [code, asked] of Object.entries(codes)) {
    const run = await over(await startImport({ hub: asked }));
    assert.equal(run.error?.code, code, JSON.stringify(run));
  }
  const revision = await over(await startImport({ hub: { repository, revision: "other" } }));
  assert.equal(revision.error.code, "HUB_NOT_FOUND");
  const stranger = await testApi({ hub: { address: `http://127.0.0.1:${(network.address() as AddressInfo).port}`, token: null } });
  try {
    const { startImport: started } = await stranger.data(start, { hub: { repository } });
    await until("it is refused", async () => {
      const { run } = await stranger.data(`query ($id: ID!) { run(id: $id) { error { code message } } }`, { id: started.run.id });
      if (!run.error) return false;
      assert.equal(run.error.code, "HUB_REFUSED");
      return true;
    });
  } finally {
    await stranger.close();
  }
});

test("an import that is cancelled ends its download", async () => {
  let held: IncomingMessage | undefined;
  mischief = (answer, path) => {
    if (!isGraph(path)) return null;
    held = answer.pause();
    return { after: Number.POSITIVE_INFINITY };
  };
  const id = await startImport({ name: "cancelled" });
  await until("the graph is on its way", () => held !== undefined);
  await api.data(`mutation ($id: ID!) { cancelRun(input: { id: $id }) { run { status } } }`, { id });
  await until("the connection is closed", () => held?.destroyed === true);
  mischief = () => null;
});
