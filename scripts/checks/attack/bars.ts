import type { Figures } from "./attack.ts";

const mebibyte = 2 ** 20;

/** Which figures are not as they must be. How long `/livez` took also depends on what else the machine does; how much was computed does not. */
export function broken({ wrong, failures, computedMs, slowest, largestRefusal, memory: [before, after] }: Figures): string[] {
  const bars: readonly (readonly [holds: boolean, problem: string])[] = [
    [failures === 0, `/livez gave no answer ${failures} times`],
    [computedMs < 250, `the server's thread was held for ${computedMs} ms by: ${slowest.computed}`],
    [largestRefusal < 65_536, `an answer to a refused request had ${largestRefusal} bytes`],
    [after.memory < 1.1 * before.memory + 8 * mebibyte, `memory grew from ${before.memory} to ${after.memory} bytes`],
  ];
  return [...wrong, ...bars.filter(([holds]) => !holds).map(([, problem]) => problem)];
}
