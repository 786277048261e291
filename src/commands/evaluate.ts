import type { Argv } from "yargs";
import { serverOptions } from "./shared/server-options.ts";

/** Has a server that runs measure a model, and tells what it found. */
export const evaluate = (program: Argv) =>
  program.command(
    "evaluate <model>",
    "Measures a model of a server that runs, on texts or items that it has not seen",
    (command) =>
      command.positional("model", { type: "string", demandOption: true, describe: "its id, its name or its repository" }).options({
        dataset: { type: "string", default: "literature-heldout", requiresArg: true, describe: "texts or items to measure on" },
        "max-tokens": { type: "number", requiresArg: true, describe: "of texts: stop after so many tokens" },
        "max-items": { type: "number", requiresArg: true, describe: "of items: stop after so many" },
        ...serverOptions,
      }),
    async ({ model, dataset, maxTokens, maxItems, server }) => {
      const { evaluateOn } = await import("./evaluate/evaluate-on.ts");
      await evaluateOn({ model, dataset, maxTokens, maxItems }, server);
    },
  );
