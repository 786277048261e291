import type { ChildProcess } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";

/** The compute processes that this process has started, oldest first. */
export const computeProcesses: ChildProcess[] = [];

subscribe("child_process", (message) => {
  const { process: child } = message as { process: ChildProcess };
  // Told before it is spawned: only then are its arguments known.
  child.once("spawn", () => {
    if (child.spawnargs.some((arg) => /compute[\\/]child\.[jt]s$/.test(arg))) computeProcesses.push(child);
  });
});

const isRunning = (child: ChildProcess) => child.exitCode === null && child.signalCode === null;

/** Those still running. */
export const runningComputeProcesses = (): ChildProcess[] => computeProcesses.filter(isRunning);
