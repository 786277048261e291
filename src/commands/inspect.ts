import { resolve } from "node:path";
import type { Argv } from "yargs";
import { callersFolder } from "../config.ts";

/**
 * Says what a model is, what can be pruned from it, and what stands in the way, without a server.
 *
 * Ends with 0 if the model can be pruned, 1 if not, 2 if there is none.
 */
export const inspect = (program: Argv) =>
  program.command(
    "inspect <path>",
    "Says what a model is and all that stands in the way of pruning it; ends with 1 if something does",
    (command) =>
      command.positional("path", {
        type: "string",
        demandOption: true,
        describe: "of a folder in the Hugging Face layout, or of a .onnx or .gguf file",
      }),
    async ({ path }) => {
      process.exitCode = 2;
      const { inspectModel } = await import("./inspect/report.ts");
      process.exitCode = (await inspectModel(resolve(callersFolder(), path))) ? 0 : 1;
    },
  );
