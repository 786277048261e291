import { createHash, randomBytes } from "node:crypto";
import { EspalierError } from "../errors.ts";
import type { AccessToken } from "../generated/prisma/client.ts";
import { type Listing, listRows, newestFirst, type PageRequest } from "./page.ts";
import { inOrder, isId } from "./record.ts";
import type { Database, Store } from "./store.ts";

/** What clients may do. Each role may do what those before it may. */
export const accessRoles = ["READ", "GENERATE", "PRUNE", "ADMIN"] as const;
export type AccessRole = (typeof accessRoles)[number];

/** Whether a role may do what needs another. */
export const suffices = (role: AccessRole, needed: AccessRole): boolean => accessRoles.indexOf(role) >= accessRoles.indexOf(needed);

export type TokenRecord = Omit<AccessToken, "role"> & { readonly role: AccessRole };

export interface NewToken {
  readonly name: string;
  readonly role: AccessRole;
  /** Null: it does not expire. */
  readonly expiresAt: Date | null;
}

/** Tells a token from other secrets, to people and to programs that look for secrets in the wrong places. */
const prefix = "esp_";
const form = /^esp_[A-Za-z0-9_-]{43}$/;

/** Tokens wherever they stand in a text. */
export const tokensIn = /esp_[A-Za-z0-9_-]{43}/g;

const record = (row: AccessToken): TokenRecord => row as TokenRecord;

/** What a token is known by; null for what cannot be one. The token is 256 random bits: a plain digest says nothing of it. */
export const digestOfToken = (secret: string): string | null =>
  form.test(secret) ? createHash("sha256").update(secret).digest("hex") : null;

/**
 * Makes a token.
 *
 * @returns its record, and the token itself, which is kept nowhere
 * @throws EspalierError INVALID_TOKEN naming what is wrong
 */
export async function createToken(db: Database, { name, role, expiresAt }: NewToken): Promise<{ token: TokenRecord; secret: string }> {
  const invalid = (argument: string, rule: string) => new EspalierError("INVALID_TOKEN", `${argument} ${rule}`, { argument });
  const called = name.trim();
  // Lists of tokens are shown on terminals, which act on control characters.
  if (called === "" || called.length > 200 || /\p{Cc}/u.test(called))
    throw invalid("input.name", "must have 1 to 200 characters, and no control characters");
  if (expiresAt && !(expiresAt.getTime() > Date.now())) throw invalid("input.expiresAt", "must lie in the future");
  const secret = prefix + randomBytes(32).toString("base64url");
  const row = await db.accessToken.create({ data: { name: called, role, expiresAt, digest: digestOfToken(secret) as string } });
  return { token: record(row), secret };
}

/**
 * Withdraws a token. One that has been withdrawn already stays as it is.
 *
 * @throws EspalierError TOKEN_NOT_FOUND
 */
export async function revokeToken(db: Database, id: string): Promise<TokenRecord> {
  if (isId(id)) await db.accessToken.updateMany({ where: { id, revokedAt: null }, data: { revokedAt: new Date() } });
  const row = isId(id) ? await db.accessToken.findUnique({ where: { id } }) : null;
  if (!row) throw new EspalierError("TOKEN_NOT_FOUND", `there is no token ${id}`, { id });
  return record(row);
}

/** Newest first; withdrawn and expired ones too. @throws EspalierError BAD_CURSOR */
export const listTokens = (db: Database, page: PageRequest): Promise<Listing<TokenRecord>> =>
  listRows(db.accessToken, {}, page, newestFirst, record);

/** Those there are of some tokens, by their digests. */
export async function tokensByDigest(db: Database, digests: readonly string[]): Promise<Map<string, TokenRecord>> {
  const rows = await db.accessToken.findMany({ where: { digest: { in: [...digests] } } });
  return new Map(rows.map((row) => [row.digest, record(row)]));
}

/** Whether a token has ever been made. */
export const anyToken = async (db: Database): Promise<boolean> => (await db.accessToken.findFirst({ select: { id: true } })) !== null;

/** Makes an administrator's token if none has ever been made: processes that start together make one. Null if there was one. */
export function createFirstToken({ prisma }: Store): Promise<string | null> {
  return prisma.$transaction(async (tx) => {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('first token', 1))`;
    if (await anyToken(tx)) return null;
    return (await createToken(tx, { name: "administrator", role: "ADMIN", expiresAt: null })).secret;
  });
}

/** Tokens by id, in the order asked for; null where there is none. */
export async function findTokens(db: Database, ids: readonly string[]): Promise<(TokenRecord | null)[]> {
  const rows = await db.accessToken.findMany({ where: { id: { in: [...ids] } } });
  return inOrder(rows.map(record), ids);
}
