import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chown, mkdir, mkdtemp, open, readFile, realpath, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { childEnvironment } from "../child-environment.ts";
import { EspalierError } from "../errors.ts";
import { isReachable, platformPackage, postgresBinaries, postgresUser, unless } from "./binaries.ts";

export interface EmbeddedPostgres {
  readonly url: string;
  /** Stops looking after the server, and stops it if this process answers for it: the one that started it, or that found it left behind by one that died. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** False trades safety against power cuts for speed: for tests. */
  readonly durable: boolean;
}

/** Where root keeps the database when the data directory lies in a folder closed to other users, such as its home. */
const openFolder = "/var/lib/espalier";
const startTimeoutMs = 60_000;
/** So often the server is looked after. */
const watchMs = 250;

interface Home {
  /** Holds `cluster` (PostgreSQL's own folder), `password`, `log` and, after a crash, `heir`. */
  readonly path: string;
  readonly binaries: string;
}

const user = "postgres";
const urlFor = (password: string, port: number) => `postgresql://${user}:${password}@127.0.0.1:${port}/postgres`;

function failed(message: string, cause?: unknown): EspalierError {
  return new EspalierError("EMBEDDED_POSTGRES_FAILED", `the embedded PostgreSQL ${message}`, {}, { cause });
}

async function own(path: string): Promise<void> {
  const { uid, gid } = postgresUser;
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid);
}

/** Makes a database cluster in a folder of its own, complete or not at all. */
async function createHome(parent: string, { binaries, durable }: { binaries: string; durable: boolean }): Promise<string> {
  const home = await mkdtemp(join(parent, "postgres."));
  await own(home);
  const password = join(home, "password");
  await writeFile(password, randomBytes(24).toString("hex"), { mode: 0o600 });
  await own(password);
  const args = ["-D", join(home, "cluster"), "-U", user, "-E", "UTF8", "--auth=scram-sha-256", `--pwfile=${password}`];
  const locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
  try {
    await promisify(execFile)(join(binaries, "bin", "initdb"), [...args, ...locale, ...(durable ? [] : ["--no-sync"])], {
      ...postgresUser,
      env: childEnvironment(),
      cwd: home,
    });
  } catch (cause) {
    await rm(home, { recursive: true });
    throw failed(`could not make its files: ${(cause as { stderr?: string }).stderr || (cause as Error).message}`, cause);
  }
  return home;
}

/**
 * The folder of a data directory's database, made at first use. `postgres` in the data directory is that folder, or a link
 * to it where the server could not read it there. Of several processes that make one at once, the first wins.
 */
async function openHome(dataDirectory: string, durable: boolean): Promise<Home> {
  // As root the server runs as another user, which must get past it; what else is in it is closed.
  await mkdir(dataDirectory, { recursive: true, mode: postgresUser.uid === undefined ? 0o700 : 0o755 });
  const place = (await isReachable(dataDirectory)) ? dataDirectory : openFolder;
  await mkdir(place, { recursive: true });
  const binaries = await postgresBinaries(await platformPackage(), place);
  const path = join(dataDirectory, "postgres");
  if (!(await stat(path).catch(unless("ENOENT")))) {
    const home = await createHome(place, { binaries, durable });
    const claim = place === dataDirectory ? rename(home, path) : symlink(home, path);
    await claim.catch(async (error) => {
      unless("EEXIST", "ENOTEMPTY")(error);
      await rm(home, { recursive: true });
    });
  }
  return { path: await realpath(path), binaries };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

interface Running {
  readonly pid: number;
  readonly url: string;
  /** The process that started it. */
  readonly starter: number;
}

/** A setting of our own, that PostgreSQL keeps for us. */
const starterSetting = "espalier.starter";

/** The server that holds the cluster: its lock file gives process, port and state. Null if none runs or it is not ready. */
async function findRunning({ path }: Home): Promise<Running | null> {
  const lines = (await readFile(join(path, "cluster", "postmaster.pid"), "utf8").catch(unless("ENOENT")))?.split("\n") ?? [];
  const pid = Number(lines[0]);
  if (lines[7]?.trim() !== "ready" || !isAlive(pid)) return null;
  const url = urlFor(await readFile(join(path, "password"), "utf8"), Number(lines[3]));
  const client = new pg.Client({ connectionString: url });
  // A server that goes meanwhile is one that does not run: the query fails.
  client.on("error", () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ starter: string }>("SELECT current_setting($1) AS starter", [starterSetting]);
    return { pid, url, starter: Number(rows[0]?.starter) };
  } catch {
    return null; // A lock file left behind, whose process id is now another's.
  } finally {
    await client.end();
  }
}

/** A TCP port that is free on the loopback address just now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

/** What a server says that cannot start because another starts, or because one that was killed is not wholly gone. */
const passing = /lock file "postmaster.pid" already exists|pre-existing shared memory block|could not bind/;

/** Spawns the server once. Null if it ended for a reason that passes. */
async function attempt(home: Home, durable: boolean, port: number, deadline: number): Promise<Running | null> {
  const { path, binaries } = home;
  const settings = {
    [starterSetting]: process.pid,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    timezone: "UTC",
    log_timezone: "UTC",
    log_checkpoints: "off",
    ...(durable ? {} : { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }),
  };
  const args = ["-D", join(path, "cluster"), "-p", String(port)];
  for (const [name, value] of Object.entries(settings)) args.push("-c", `${name}=${value}`);
  const log = await open(join(path, "log"), "a");
  const { size: begun } = await log.stat();
  // Detached: Ctrl-C at the terminal reaches us alone, and we stop the server once we are done with it.
  const server = spawn(join(binaries, "bin", "postgres"), args, {
    ...postgresUser,
    env: childEnvironment(),
    cwd: path,
    detached: true,
    stdio: ["ignore", "ignore", log.fd],
  });
  let gone: unknown;
  server.once("error", (error) => (gone = error));
  server.once("exit", (status) => (gone = `ended with status ${status}`));
  server.unref();
  await log.close();
  for (; Date.now() < deadline; await delay(20)) {
    const running = await findRunning(home);
    if (running) return running;
    if (gone === undefined) continue;
    const words = (await readFile(join(path, "log"))).subarray(begun).toString().slice(-2000);
    if (passing.test(words)) return null;
    throw failed(`did not start (${gone}):\n${words}`, gone);
  }
  server.kill("SIGQUIT");
  throw failed(`was not ready after ${startTimeoutMs / 1000} s; its log is ${join(path, "log")}`);
}

/** Starts the server, or finds that another process just did. */
async function launch(home: Home, durable: boolean, port?: number): Promise<Running> {
  const deadline = Date.now() + startTimeoutMs;
  for (;;) {
    const running = (await findRunning(home)) ?? (await attempt(home, durable, port ?? (await freePort()), deadline));
    if (running) return running;
    await delay(100);
  }
}

/** Whether this process answers for the server: it started it, or the one that did is dead and no other has stepped in. */
async function answersFor({ starter }: Running, { path }: Home): Promise<boolean> {
  if (starter === process.pid) return true;
  if (isAlive(starter)) return false;
  const file = join(path, "heir");
  const heir = Number(await readFile(file, "utf8").catch(unless("ENOENT")));
  if (heir > 0 && heir !== process.pid && isAlive(heir)) return false;
  await writeFile(file, String(process.pid));
  return true;
}

/** A server that was stopped in order takes its lock file with it; one that was killed leaves it. */
const wasKilled = async ({ path }: Home): Promise<boolean> =>
  (await stat(join(path, "cluster", "postmaster.pid")).catch(unless("ENOENT"))) !== undefined;

/**
 * A real PostgreSQL server whose data lies in the data directory, made at first use. One server serves all processes that
 * name the same data directory. If it is killed, it is started again, at the same address: PostgreSQL recovers what was
 * committed.
 *
 * @throws EspalierError EMBEDDED_POSTGRES_UNAVAILABLE without binaries for this platform; EMBEDDED_POSTGRES_FAILED with
 *   PostgreSQL's own words
 */
export async function startEmbeddedPostgres(
  dataDirectory: string,
  { durable }: EmbeddedPostgresOptions = { durable: true },
): Promise<EmbeddedPostgres> {
  const home = await openHome(resolve(dataDirectory), durable);
  let running = await launch(home, durable);
  const { url } = running;
  const over = new AbortController();
  const watching = (async () => {
    for (; !over.signal.aborted; await delay(watchMs, undefined, { ref: false, signal: over.signal }).catch(() => {})) {
      if (isAlive(running.pid) || !(await wasKilled(home)) || !(await answersFor(running, home))) continue;
      // A failure is told by whoever asks the database something; here it is tried again.
      running = await launch(home, durable, Number(new URL(url).port)).catch(() => running);
    }
  })();
  const mine = await answersFor(running, home);
  // Fast shutdown: open transactions are rolled back and connections closed.
  const interrupt = () => {
    if (isAlive(running.pid)) process.kill(running.pid, "SIGINT");
  };
  if (mine) process.once("exit", interrupt);
  return {
    url,
    stop: async () => {
      over.abort();
      await watching;
      if (!mine) return;
      process.off("exit", interrupt);
      interrupt();
      while (isAlive(running.pid)) await delay(10);
    },
  };
}
