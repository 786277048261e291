import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SessionOptions } from "../../../src/runtime/session.ts";

interface NodeEvent {
  readonly cat: string;
  readonly name: string;
  readonly args: { readonly provider?: string; readonly op_name?: string };
}

/** How many nodes a session ran on the GPU, and of each operator how many on the CPU. */
export interface Placement {
  readonly onGpu: number;
  readonly onCpu: ReadonlyMap<string, number>;
}

/** Runs something in a session that profiles itself, and reads from ONNX Runtime's profile which provider ran each node. */
export async function placementOf(run: (native: NonNullable<SessionOptions["native"]>) => Promise<void>): Promise<Placement> {
  const directory = mkdtempSync(join(tmpdir(), "espalier-profile-"));
  try {
    await run({ enableProfiling: true, profileFilePrefix: join(directory, "run") });
    const providers = new Map<string, { provider: string; operator: string }>();
    for (const file of readdirSync(directory))
      for (const { cat, name, args } of JSON.parse(readFileSync(join(directory, file), "utf8")) as NodeEvent[])
        if (cat === "Node" && name.endsWith("_kernel_time"))
          providers.set(name, { provider: args.provider ?? "", operator: args.op_name ?? "" });
    const onCpu = new Map<string, number>();
    for (const { provider, operator } of providers.values())
      if (provider === "CPUExecutionProvider") onCpu.set(operator, (onCpu.get(operator) ?? 0) + 1);
    return { onGpu: [...providers.values()].filter((p) => p.provider === "CUDAExecutionProvider").length, onCpu };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

export const placementText = ({ onGpu, onCpu }: Placement): string => {
  const count = [...onCpu.values()].reduce((a, b) => a + b, 0);
  return count === 0 ? `${onGpu}, none` : `${onGpu}, ${count} (${[...onCpu.keys()].sort().join(" ")})`;
};
