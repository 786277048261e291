/** A seeded stream of uniform numbers in [0, 1). Every source of chance in the project is one of these, passed in. */
export type Random = () => number;

/** Hashes a string into 32 bits (FNV-1a), so that streams can be told apart by name. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/**
 * Mulberry32: 32 bits of state, full period, the same sequence on every platform.
 *
 * @param seed any 32-bit integer
 * @param stream a name that separates independent streams of one seed, e.g. `perturbation/3`
 */
export function seededRandom(seed: number, stream = ""): Random {
  let state = (seed ^ hash(stream)) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A uniform integer in [0, n). */
export const randomInteger = (random: Random, n: number): number => Math.floor(random() * n);

/** One of the items, each equally likely. */
export const randomChoice = <T>(random: Random, items: readonly T[]): T => items[randomInteger(random, items.length)] as T;

/** A shuffled copy (Fisher-Yates). */
export function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = randomInteger(random, i + 1);
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}
