import { readFileSync } from "node:fs";

/** Milliseconds of the processor that this process takes for `work`, whatever else the machine does meanwhile. */
export async function processorMs(work: () => unknown): Promise<number> {
  const begun = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1000;
}

/** Milliseconds that another process has computed since it began, in steps of 10; 0 where the system does not say. */
export function processorMsOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [user, system] = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .slice(11, 13)
      .map(Number) as [number, number];
    return (user + system) * 10;
  } catch {
    return 0;
  }
}
