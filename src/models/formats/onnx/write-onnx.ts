import type { FormatWriter } from "../format.ts";

/** The folder as it is: every file of it is in the store. */
export const writeOnnx: FormatWriter = {
  obstacle: async () => null,
  async *write({ files }) {
    yield { done: 1, total: 1 };
    const kept = files.filter(({ path }) => path !== "README.md");
    return { files: kept.map(({ path, ...stored }) => ({ path, stored })), notes: [] };
  },
};
