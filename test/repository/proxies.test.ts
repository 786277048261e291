import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type IncomingMessage } from "node:http";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { freePort } from "../../src/postgres/embedded-postgres.ts";
import { cancelRun } from "../../src/store/runs.ts";
import { createToken } from "../../src/store/tokens.ts";
import { bearing, type TestApi, testApi } from "../support/api.ts";
import { newRun } from "../support/records.ts";
import { until } from "../support/wait.ts";

const docs = readFileSync(new URL("../../docs/security.md", import.meta.url), "utf8");
const example = (language: string): string => {
  const [, found] = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(docs) ?? [];
  assert.ok(found, `docs/security.md has no example of ${language}`);
  return found;
};

/** Puts one thing in another's place, which must be there. */
function put(config: string, changes: Readonly<Record<string, string>>): string {
  return Object.entries(changes).reduce((so, [old, now]) => {
    assert.ok(so.includes(old), old);
    return so.replaceAll(old, now);
  }, config);
}

const name = "espalier.example.org";
const installed = (program: string) => ["/usr/sbin", "/usr/bin", "/usr/local/bin"].map((folder) => join(folder, program)).find(existsSync);

let api: TestApi;
let token: string;
let folder: string;
before(async () => {
  api = await testApi({ worker: false, server: { allowedHosts: [name], allowedOrigins: [`https://${name}`] } });
  token = (await createToken(api.services.store.prisma, { name: "proxied", role: "READ", expiresAt: null })).secret;
  folder = await mkdtemp(join(tmpdir(), "espalier-proxy-"));
});
after(async () => {
  await api.close();
  await rm(folder, { recursive: true });
});

const address = () => new URL(api.url).host;

async function nginx(program: string, port: number, config: string): Promise<string[]> {
  const [pem, key, file] = [join(folder, "cert.pem"), join(folder, "key.pem"), join(folder, "nginx.conf")];
  const subject = ["-subj", `/CN=${name}`, "-days", "1", "-keyout", key, "-out", pem];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...subject], { stdio: "ignore" });
  const server = put(config, {
    "listen 443 ssl": `listen 127.0.0.1:${port} ssl`,
    "/etc/ssl/espalier.pem": pem,
    "/etc/ssl/espalier.key": key,
    "127.0.0.1:4000": address(),
  });
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join("\n");
  const user = process.getuid?.() === 0 ? "user root;" : "";
  await writeFile(file, `${user} daemon off; pid ${folder}/pid; error_log stderr; events {} http { access_log off; ${paths}\n${server} }`);
  return [program, "-p", folder, "-c", file];
}

async function caddy(program: string, port: number, config: string): Promise<string[]> {
  const file = join(folder, "Caddyfile");
  const own = [
    "admin off",
    "local_certs",
    "skip_install_trust",
    "auto_https disable_redirects",
    `https_port ${port}`,
    "default_bind 127.0.0.1",
  ];
  const options = [...own, `storage file_system ${folder}/caddy`].join("\n  ");
  await writeFile(file, `{\n  ${options}\n}\n${put(config, { "127.0.0.1:4000": address() })}`);
  return [program, "run", "--adapter", "caddyfile", "--config", file];
}

const page = () => ({ host: name, origin: `https://${name}`, ...bearing(token) });
const trusting = { rejectUnauthorized: false, servername: name } as const;

async function post(port: number, headers: Record<string, string>, body: string): Promise<IncomingMessage> {
  const all = { ...page(), "content-type": "application/json", ...headers };
  const asked = request({ ...trusting, port, host: "127.0.0.1", path: "/graphql", method: "POST", headers: all, agent: false });
  asked.end(body);
  return (await once(asked, "response"))[0] as IncomingMessage;
}

/** What a browser's page behind the proxy does. */
async function workThrough(port: number): Promise<void> {
  const padded = JSON.stringify({ query: "query ($a: String) { pruningMethods { name } }", variables: { a: "x".repeat(3_000_000) } });
  const small = await post(port, {}, JSON.stringify({ query: "{ pruningMethods { name } }" }));
  assert.equal(small.statusCode, 200);
  assert.match(await text(small), /"PIP"/);
  const large = await text(await post(port, {}, padded));
  assert.doesNotMatch(large, /<html|TOO_LARGE/);

  const { id } = await newRun(api.services.store);
  const query = `subscription { runProgress(runId: "${id}") { __typename } }`;
  const events = await post(port, { accept: "text/event-stream" }, JSON.stringify({ query }));
  let heard = "";
  events.on("data", (data) => (heard += data));

  const socket = new WebSocket(`wss://127.0.0.1:${port}/graphql`, "graphql-transport-ws", {
    ...trusting,
    headers: { host: name, origin: `https://${name}` },
  });
  const messages: string[] = [];
  socket.on("message", (data) => messages.push(String(data)));
  await once(socket, "open");
  socket.send(JSON.stringify({ type: "connection_init", payload: bearing(token) }));
  await until("the socket is let in", () => messages.some((m) => m.includes("connection_ack")));
  socket.send(JSON.stringify({ id: "1", type: "subscribe", payload: { query } }));

  // Each comes on its way when it happens, not when the stream is over.
  await until("the stream has begun", () => heard.length > 0);
  await cancelRun(api.services.store, id);
  await until("the event came by stream", () => heard.includes("RunCancelled"));
  await until("the event came by socket", () => messages.some((m) => m.includes("RunCancelled")));
  socket.terminate();
  events.destroy();
}

for (const [program, language, prepare] of [
  ["nginx", "nginx", nginx],
  ["caddy", "caddy", caddy],
] as const) {
  const path = installed(program);
  for (const [how, change] of [
    ["as the docs have it", (config: string) => config],
    [
      "rewriting Host, with its origin set",
      (config: string) =>
        program === "nginx"
          ? put(config, { "Host $http_host": "Host $proxy_host" })
          : put(config, { "reverse_proxy 127.0.0.1:4000": "reverse_proxy 127.0.0.1:4000 {\n header_up Host {upstream_hostport}\n }" }),
    ],
  ] as const)
    test(`behind ${program}, ${how}: queries, sockets and event streams`, {
      skip: path ? false : `${program} is not installed`,
    }, async () => {
      const port = await freePort();
      const [command, ...args] = await prepare(path as string, port, change(example(language)));
      const child = spawn(command as string, args, { stdio: ["ignore", "ignore", "pipe"] });
      let said = "";
      child.stderr.on("data", (data) => (said += data));
      const exit = once(child, "exit");
      try {
        await until(`${program} answers`, async () => {
          assert.equal(child.exitCode, null, said);
          return post(port, {}, '{"query":"{ __typename }"}').then(
            ({ statusCode }) => statusCode === 200,
            () => false,
          );
        });
        await workThrough(port);
      } finally {
        child.kill("SIGTERM");
        await exit;
      }
    });
}
