export type Role = "READ" | "GENERATE" | "PRUNE" | "ADMIN";

/** Each may do what those before it may. */
const roles: readonly Role[] = ["READ", "GENERATE", "PRUNE", "ADMIN"];

const key = "espalier:token";

/** Who uses the page. The token is kept in memory; in the tab's own storage only if the user asks for it. */
class Session {
  token = $state<string | null>(sessionStorage.getItem(key));
  /** Null until the server has said it, and while it asks for a token. */
  role = $state<Role | null>(null);
  tokenName = $state<string | null>(null);
  version = $state("");
  /** Why a token is asked for; null while none is. */
  asks = $state<string | null>(null);
  private readonly leavers = new Set<() => void>();

  may(needed: Role): boolean {
    return this.role !== null && roles.indexOf(this.role) >= roles.indexOf(needed);
  }

  enter(token: string, keep: boolean): void {
    this.token = token;
    if (keep) sessionStorage.setItem(key, token);
    else sessionStorage.removeItem(key);
  }

  /** The server has told who this is. */
  known(role: Role, tokenName: string | null, version: string): void {
    Object.assign(this, { role, tokenName, version, asks: null });
  }

  /** What was shown is of no use, or nothing was: a token is asked for. */
  lose(why: string): void {
    sessionStorage.removeItem(key);
    Object.assign(this, { token: null, role: null, tokenName: null, asks: why });
    for (const leave of this.leavers) leave();
  }

  /** Goes on with another token. What was followed with the one before ends. */
  become(token: string): void {
    for (const leave of this.leavers) leave();
    this.token = token;
  }

  onLeave(leave: () => void): void {
    this.leavers.add(leave);
  }
}

export const session = new Session();

/** What a request shows: nothing while the server is open. */
export const authorization = (): Record<string, string> => (session.token ? { authorization: `Bearer ${session.token}` } : {});
