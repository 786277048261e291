export const executionProviders = ["AUTO", "CPU", "CUDA"] as const;
/** What a client asks for. AUTO takes CUDA where it can be had, else the CPU; what really ran is recorded. */
export type ExecutionProvider = (typeof executionProviders)[number];
