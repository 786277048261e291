/** Starts a generation in a compute process, tells that process's id, and waits to be killed. */
import { ComputeProcess } from "../../src/compute/compute-process.ts";

const compute = new ComputeProcess();
process.on("message", async (request: Parameters<typeof compute.run<"generate">>[1]) => {
  for await (const _ of compute.run("generate", request)) process.send?.(compute.pid);
});
