import { setTimeout as delay } from "node:timers/promises";

/** Waits until a condition holds, and fails if it does not in time. Gives what the condition gave. */
export async function until<T>(what: string, condition: () => T | Promise<T>, timeoutMs = 120_000): Promise<NonNullable<T>> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await delay(20)) {
    const value = await condition();
    if (value) return value;
  }
  throw new Error(`${what}: not within ${timeoutMs} ms`);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
