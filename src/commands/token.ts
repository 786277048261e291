import type { Argv } from "yargs";
import { EspalierError } from "../errors.ts";
import type { Store } from "../store/store.ts";
import { type AccessRole, accessRoles, createToken, listTokens, revokeToken } from "../store/tokens.ts";
import { withStore } from "./shared/with-store.ts";

const dayMs = 24 * 60 * 60_000;

/** Makes, lists and withdraws the tokens that let clients in. */
export const token = (program: Argv) =>
  program.command("token", "Makes, lists and withdraws the tokens that let clients in", (command) =>
    command
      .command(
        "create",
        "Makes a token and prints it, this once",
        {
          name: { type: "string", demandOption: true, requiresArg: true, describe: "whose it is, for the list" },
          role: { choices: accessRoles, demandOption: true, requiresArg: true, describe: "what it lets its bearer do" },
          days: { type: "string", requiresArg: true, describe: "how long it is good for, from 1 to 99999 (for good)", coerce: days },
        },
        ({ name, role, days }) => withStore((store) => create(store, name, role, days)),
      )
      .command("list", "Lists all tokens, without showing them", {}, () => withStore(list))
      .command(
        "revoke <id>",
        "Withdraws a token",
        (revoke) => revoke.positional("id", { type: "string", demandOption: true, describe: "of the token, as `list` gives it" }),
        ({ id }) => withStore(({ prisma }) => revokeToken(prisma, id)).then(({ name }) => console.log(`"${name}" is withdrawn`)),
      )
      .demandCommand(1, "Say what to do."),
  );

/** @throws EspalierError USAGE */
function days(text: string | undefined): number | undefined {
  if (text !== undefined && !/^[1-9]\d{0,4}$/.test(text)) throw new EspalierError("USAGE", "--days must be a number from 1 to 99999");
  return text === undefined ? undefined : Number(text);
}

async function create({ prisma }: Store, name: string, role: AccessRole, days: number | undefined): Promise<void> {
  const expiresAt = days === undefined ? null : new Date(Date.now() + days * dayMs);
  const { token, secret } = await createToken(prisma, { name, role, expiresAt });
  // The token alone goes to standard output, for programs to take.
  console.error(
    `"${token.name}" (${token.id}) has the role ${role}${expiresAt ? ` until ${expiresAt.toISOString()}` : ""}. It is shown this once:`,
  );
  console.log(secret);
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
