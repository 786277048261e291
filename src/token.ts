import { parseArgs } from "node:util";
import { readConfig } from "./config.ts";
import { EspalierError } from "./errors.ts";
import { startEmbeddedPostgres } from "./store/embedded-postgres.ts";
import { openStore, type Store } from "./store/store.ts";
import { accessRoles, createToken, listTokens, revokeToken } from "./store/tokens.ts";

const usage = `usage: npm run token -- create --name NAME --role ${accessRoles.join("|")} [--days N]
       npm run token -- list
       npm run token -- revoke ID`;

const dayMs = 24 * 60 * 60_000;

/** A command, ready to run once there is a database. @throws EspalierError USAGE */
function commandOf(args: readonly string[]): (store: Store) => Promise<void> {
  const wrong = (why: string) => new EspalierError("USAGE", `${why}\n${usage}`);
  const options = { name: { type: "string" }, role: { type: "string" }, days: { type: "string" } } as const;
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (cause) {
    throw wrong((cause as Error).message);
  }
  const [verb, id, ...rest] = parsed.positionals;
  const { name, role, days } = parsed.values;
  if (rest.length > 0 || (verb === "revoke") !== (id !== undefined) || (verb !== "create" && Object.keys(parsed.values).length > 0))
    throw wrong("that is not how it is called");
  if (verb === "list") return list;
  if (verb === "revoke") return ({ prisma }) => revokeToken(prisma, id as string).then(({ name }) => console.log(`"${name}" is withdrawn`));
  if (verb !== "create") throw wrong(verb ? `there is no command ${verb}` : "say what to do");
  const known = accessRoles.find((r) => r === role);
  if (name === undefined || !known)
    throw wrong(name === undefined ? "--name is missing" : `--role must be one of ${accessRoles.join(", ")}`);
  if (days !== undefined && !/^[1-9]\d{0,4}$/.test(days)) throw wrong("--days must be a number from 1 to 99999");
  const expiresAt = days === undefined ? null : new Date(Date.now() + Number(days) * dayMs);
  return async ({ prisma }) => {
    const { token, secret } = await createToken(prisma, { name, role: known, expiresAt });
    // The token alone goes to standard output, for programs to take.
    console.error(
      `"${token.name}" (${token.id}) has the role ${known}${expiresAt ? ` until ${expiresAt.toISOString()}` : ""}. It is shown this once:`,
    );
    console.log(secret);
  };
}

async function list({ prisma }: Store): Promise<void> {
  for (let after: string | undefined; ; ) {
    const { items, hasNextPage } = await listTokens(prisma, { first: 100, after });
    for (const { id, name, role, createdAt, expiresAt, revokedAt } of items) {
      const ends = revokedAt ? `withdrawn ${revokedAt.toISOString()}` : expiresAt ? `until ${expiresAt.toISOString()}` : "for good";
      console.log([id, role.padEnd(8), `made ${createdAt.toISOString()}`, ends, name].join("  "));
    }
    after = items.at(-1)?.id;
    if (!hasNextPage) return;
  }
}

/** Makes, lists and withdraws the tokens that let clients in, in the configured database or the embedded one. */
async function main(): Promise<void> {
  const command = commandOf(process.argv.slice(2));
  const { dataDirectory, databaseUrl } = readConfig();
  const postgres = databaseUrl === null ? await startEmbeddedPostgres(dataDirectory) : null;
  try {
    const store = await openStore(databaseUrl ?? postgres?.url ?? "");
    try {
      await command(store);
    } finally {
      await store.close();
    }
  } finally {
    await postgres?.stop();
  }
}

try {
  await main();
} catch (error) {
  console.error(error instanceof EspalierError ? `${error.message} [${error.code}]` : error);
  process.exitCode = 1;
}
