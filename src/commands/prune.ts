import type { Argv } from "yargs";
import { serverOptions } from "./shared/server-options.ts";

/** Has a server that runs prune a model, and tells how it goes. */
export const prune = (program: Argv) =>
  program.command(
    "prune <model>",
    "Prunes a model of a server that runs, and waits for what is left",
    (command) =>
      command.positional("model", { type: "string", demandOption: true, describe: "its id, its name or its repository" }).options({
        ratio: { type: "number", default: 0.2, requiresArg: true, describe: "the share of its parameters that is to go" },
        kinds: {
          type: "string",
          default: "LAYER",
          requiresArg: true,
          describe: "kinds of structures that may go, such as HEAD,CHANNEL; docs/pruning.md lists them",
        },
        uniform: {
          type: "number",
          requiresArg: true,
          describe: "leave all layers alike, with a multiple of so many channels: 1, or 32 for a quantised GGUF file",
        },
        method: { type: "string", requiresArg: true, describe: "how structures are scored; docs/methods.md lists the methods" },
        dataset: { type: "string", default: "literature-train", requiresArg: true, describe: "texts by which structures are scored" },
        name: { type: "string", requiresArg: true, describe: "what to call what is left" },
        ...serverOptions,
      }),
    async ({ model, ratio, kinds, uniform, method, dataset, name, server }) => {
      const { pruneOn } = await import("./prune/prune-on.ts");
      await pruneOn({ model, ratio, kinds: kinds.split(",").map((kind) => kind.trim()), uniform, method, dataset, name }, server);
    },
  );
