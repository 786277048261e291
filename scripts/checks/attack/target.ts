import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import { freePort, startEmbeddedPostgres } from "../../../src/postgres/embedded-postgres.ts";
import { openStore, type Store } from "../../../src/store/store.ts";
import { ahabFolder } from "../../../test/support/ahab.ts";
import { nodeArguments } from "../../../test/support/checkout.ts";
import { temporaryFolder } from "../../../test/support/database.ts";
import { writeHostileModel } from "../../../test/support/hostile-model.ts";

export interface Memory {
  /** Of JavaScript's heap and what it holds beside, after a collection; bytes. */
  readonly memory: number;
  /** Resident; bytes. */
  readonly rss: number;
}

/** What came of a request. */
export interface Outcome {
  readonly status: number;
  /** Bytes of the body. */
  readonly size: number;
  /** Of the first error; null if there is none. */
  readonly code: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: attacks read answers as they come
  readonly data: any;
}

/** An API process on a database of its own, to be attacked, and how to reach it. */
export class Target {
  /** Bytes of the largest answer to a request that was refused. */
  largestRefusal = 0;
  private readonly sockets = new Set<{ terminate(): void }>();

  private constructor(
    readonly url: string,
    readonly pid: number,
    readonly dataDirectory: string,
    readonly datasetRoot: string,
    readonly store: Store,
    private readonly child: ChildProcess,
    private readonly postgres: { stop(): Promise<void> },
  ) {}

  static async start(): Promise<Target> {
    const folder = await temporaryFolder();
    const [models, datasets] = [join(folder, "models"), join(folder, "datasets")];
    await mkdir(datasets);
    await cp(ahabFolder, join(models, "ahab"), { recursive: true });
    await writeHostileModel(join(models, "hostile"));
    const postgres = await startEmbeddedPostgres(folder);
    const port = await freePort();
    const probe = new URL("probe.mjs", import.meta.url).href;
    const settings = {
      DATABASE_URL: postgres.url,
      ESPALIER_DATA_DIRECTORY: folder,
      ESPALIER_MODEL_ROOT: models,
      ESPALIER_DATASET_ROOT: datasets,
      HOST: "127.0.0.1",
      PORT: String(port),
      LOG_LEVEL: "fatal",
    };
    const args = ["--expose-gc", "--import", probe, ...nodeArguments("src/main"), "api"];
    const child = spawn(process.execPath, args, { env: { ...process.env, ...settings }, stdio: ["ignore", "ignore", "inherit", "ipc"] });
    const url = `http://127.0.0.1:${port}`;
    for (;;) {
      if (child.exitCode !== null) throw new Error("the server did not start");
      if ((await fetch(`${url}/readyz`).catch(() => null))?.ok) break;
      await delay(50);
    }
    return new Target(url, child.pid as number, folder, datasets, await openStore(postgres.url), child, postgres);
  }

  get alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Once what an attack has left behind is collected, which takes more than one go. */
  async memory(): Promise<Memory> {
    let least: Memory | null = null;
    for (let i = 0; i < 6; i++) {
      await delay(300);
      const answer = once(this.child, "message");
      this.child.send("memory");
      const [now] = (await answer) as [Memory];
      if (!least || now.memory < least.memory) least = now;
    }
    return least as Memory;
  }

  /** A body as it is. */
  async post(body: string, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<Outcome> {
    const all = { "content-type": "application/json", ...headers };
    const response = await fetch(`${this.url}/graphql`, { method: "POST", headers: all, body, ...(signal ? { signal } : {}) });
    return this.outcome(response.status, await response.text());
  }

  ask(query: string, variables: object = {}, signal?: AbortSignal): Promise<Outcome> {
    return this.post(JSON.stringify({ query, variables }), {}, signal);
  }

  /** One operation over a WebSocket of its own, with its variables as JSON. */
  async askSocket(query: string, variables = "{}"): Promise<Outcome> {
    const socket = await this.socket();
    try {
      socket.send(`{"id":"1","type":"subscribe","payload":{"query":${JSON.stringify(query)},"variables":${variables}}}`);
      // One that is closed for what it was sent is closed with the code of an error.
      const closed = once(socket, "close").then(([, reason]) => [JSON.stringify({ errors: [{ extensions: JSON.parse(String(reason)) }] })]);
      const [data] = await Promise.race([once(socket, "message"), closed]);
      return this.outcome(200, String(data));
    } finally {
      socket.terminate();
    }
  }

  /** A WebSocket, opened. */
  async socket(init = true): Promise<WebSocket> {
    const socket = new WebSocket(`${this.url.replace("http", "ws")}/graphql`, "graphql-transport-ws");
    socket.on("error", () => {});
    this.sockets.add(socket);
    socket.once("close", () => this.sockets.delete(socket));
    await once(socket, "open");
    if (!init) return socket;
    socket.send('{"type":"connection_init"}');
    await once(socket, "message");
    return socket;
  }

  /** A connection, without a word said. */
  async connection(): Promise<Socket> {
    const socket = connect(Number(new URL(this.url).port), "127.0.0.1");
    socket.on("error", () => {});
    const ended = { terminate: () => socket.destroy() };
    this.sockets.add(ended);
    socket.once("close", () => this.sockets.delete(ended));
    await once(socket, "connect");
    return socket;
  }

  /** Closes whatever an attack has left open. */
  async hangUp(): Promise<void> {
    for (const socket of this.sockets) socket.terminate();
    while (this.sockets.size > 0) await delay(20);
  }

  terminate(): void {
    this.child.kill("SIGTERM");
  }

  async stop(): Promise<void> {
    await this.hangUp();
    if (this.alive) {
      const exited = once(this.child, "exit");
      this.child.kill("SIGTERM");
      await exited;
    }
    await this.store.close();
    await this.postgres.stop();
    await rm(this.dataDirectory, { recursive: true });
  }

  private outcome(status: number, text: string): Outcome {
    const size = Buffer.byteLength(text);
    const answer = parsed(text);
    const errors = Array.isArray(answer.payload) ? answer.payload : (answer.payload?.errors ?? answer.errors);
    const data = answer.data ?? answer.payload?.data ?? null;
    if (errors && !data) this.largestRefusal = Math.max(this.largestRefusal, size);
    return { status, size, code: errors?.[0]?.extensions?.code ?? null, data };
  }
}

// biome-ignore lint/suspicious/noExplicitAny: attacks read answers as they come
function parsed(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
