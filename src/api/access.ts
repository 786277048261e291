import { setMaxListeners } from "node:events";
import type { Logger } from "pino";
import { EspalierError } from "../errors.ts";
import type { Database } from "../store/store.ts";
import { type AccessRole, anyToken, digestOfToken, suffices, type TokenRecord, tokensByDigest } from "../store/tokens.ts";

/** Whoever asks for something. */
export interface Caller {
  /** Null where the server is open: nobody has made a token yet. */
  readonly token: Pick<TokenRecord, "id" | "name" | "expiresAt"> | null;
  readonly role: AccessRole;
  /** Aborts soon after the right is gone, with UNAUTHENTICATED. */
  readonly ended: AbortSignal;
}

/** So often what is known of tokens is looked up again. */
const recheckMs = 5000;

interface Grant {
  readonly caller: Caller;
  readonly expiresAt: Date | null;
  readonly end: AbortController;
  confirmedAt: number;
}

const unauthenticated = (why: string): EspalierError =>
  new EspalierError(
    "UNAUTHENTICATED",
    `${why}; show one as "Authorization: Bearer esp_...", over WebSocket in the connection's parameters`,
  );

/** The key of what an open server grants to everybody: no digest. */
const everybody = "";

/**
 * llama.cpp shows nothing but tokens of the Hub's own form, of letters and digits: `hf_` and the hexadecimal digits of a token's bytes are that token.
 */
const asHub = (secret: string): string => {
  const [, digits] = /^hf_((?:[0-9a-f]{2}){16,100})$/.exec(secret) ?? [];
  return digits === undefined ? secret : Buffer.from(digits, "hex").toString();
};

/** What a header or parameter of a client says: the token's digest, or `everybody` where it shows none. */
function keyOf(authorization: string | undefined): string {
  const [, secret] = /^Bearer +(.*)$/i.exec(authorization?.trim() ?? "") ?? [];
  if (secret === undefined) return everybody;
  const digest = digestOfToken(asHub(secret));
  if (digest === null) throw unauthenticated("what was shown is not a token of this server");
  return digest;
}

/** Why a token is of no use; null if it is. */
function invalidity(token: Pick<TokenRecord, "expiresAt" | "revokedAt"> | undefined): EspalierError | null {
  if (!token) return unauthenticated("what was shown is not a token of this server");
  if (token.revokedAt) return unauthenticated("the token was withdrawn");
  return token.expiresAt && token.expiresAt.getTime() <= Date.now() ? unauthenticated("the token has expired") : null;
}

/** @throws EspalierError FORBIDDEN unless the caller's role may do what needs another */
export function requireRole({ role, token }: Pick<Caller, "role" | "token">, needed: AccessRole, what: string): void {
  if (suffices(role, needed)) return;
  throw new EspalierError("FORBIDDEN", `${what} needs the role ${needed}; the token "${token?.name}" has ${role}`, { needed, role });
}

/**
 * Who may come in. A token is looked up when it is first shown and then every few seconds for as long as the process lives, so that
 * requests cost no query, and one that is withdrawn or expires ends within that time what goes on in its name.
 */
export class Access {
  private readonly grants = new Map<string, Grant>();
  private readonly timer: NodeJS.Timeout;

  private constructor(
    private readonly db: Database,
    /** Whether everybody may come in as long as there is no token. */
    private readonly mayBeOpen: boolean,
    private readonly everyMs: number,
    log: Logger,
  ) {
    this.timer = setInterval(
      () => void this.recheck().catch((error) => log.warn({ err: error }, "tokens could not be looked up")),
      everyMs,
    );
    this.timer.unref();
  }

  /** @throws EspalierError NO_TOKEN if nobody could come in */
  static async open(db: Database, mayBeOpen: boolean, log: Logger, everyMs: number = recheckMs): Promise<Access> {
    if (!mayBeOpen && !(await anyToken(db)))
      throw new EspalierError(
        "NO_TOKEN",
        "the server is to listen beyond this machine, and there is no token: make one with `npx espalier token create --name NAME --role ADMIN`, " +
          "or let everybody in with ESPALIER_OPEN=true",
      );
    return new Access(db, mayBeOpen, everyMs, log);
  }

  /**
   * @param authorization `Bearer ...`, if the client sent any
   * @throws EspalierError UNAUTHENTICATED
   */
  async identify(authorization: string | undefined): Promise<Caller> {
    const key = keyOf(authorization);
    const known = this.grants.get(key);
    const isFresh = known && Date.now() - known.confirmedAt < 2 * this.everyMs;
    if (isFresh && !invalidity({ expiresAt: known.expiresAt, revokedAt: null })) return known.caller;
    const refusal = (await this.look([key])).get(key);
    if (refusal) throw refusal;
    return (this.grants.get(key) as Grant).caller;
  }

  /** Looks up again whatever is known, and ends what has no right any more. */
  async recheck(): Promise<void> {
    await this.look([...this.grants.keys()]);
  }

  close(): void {
    clearInterval(this.timer);
  }

  /** Grants what there is a right to, ends what there is none to any more, and says why. */
  private async look(keys: readonly string[]): Promise<Map<string, EspalierError>> {
    const digests = keys.filter((key) => key !== everybody);
    const tokens = digests.length > 0 ? await tokensByDigest(this.db, digests) : new Map<string, TokenRecord>();
    const open = keys.includes(everybody) && this.mayBeOpen && !(await anyToken(this.db));
    const refusals = new Map<string, EspalierError>();
    for (const key of keys) {
      const refusal = key === everybody ? (open ? null : unauthenticated("the server asks for a token")) : invalidity(tokens.get(key));
      if (refusal) {
        refusals.set(key, refusal);
        this.grants.get(key)?.end.abort(refusal);
        this.grants.delete(key);
      } else this.grant(key, tokens.get(key));
    }
    return refusals;
  }

  private grant(key: string, token: TokenRecord | undefined): void {
    const known = this.grants.get(key);
    if (known) {
      known.confirmedAt = Date.now();
      return;
    }
    const end = new AbortController();
    // All that goes on in a token's name listens.
    setMaxListeners(0, end.signal);
    const shown = token ? { id: token.id, name: token.name, expiresAt: token.expiresAt } : null;
    const caller: Caller = { token: shown, role: token?.role ?? "ADMIN", ended: end.signal };
    this.grants.set(key, { caller, expiresAt: token?.expiresAt ?? null, end, confirmedAt: Date.now() });
  }
}
