import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";

const query = (what: string): string[] => [`--query-gpu=${what}`, "--format=csv,noheader,nounits"];

/** The card, as the driver names it. */
export const gpuName = (): string => execFileSync("nvidia-smi", query("name,driver_version"), { encoding: "utf8" }).trim();

/** The most memory of the card in use while something runs, in MiB, looked at five times a second; that of other processes counts too. */
export async function withGpuMemory<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly peakMiB: number }> {
  const watcher: ChildProcess = spawn("nvidia-smi", [...query("memory.used"), "-lms", "200"], { stdio: ["ignore", "pipe", "ignore"] });
  let text = "";
  watcher.stdout?.on("data", (chunk) => {
    text += chunk;
  });
  try {
    const result = await work();
    return {
      result,
      get peakMiB() {
        return Math.max(0, ...text.split("\n").map(Number));
      },
    };
  } finally {
    watcher.kill();
    await once(watcher, "close");
  }
}
