import type { Argv } from "yargs";
import { serverOptions } from "./shared/server-options.ts";

/** Has a server that runs heal a pruned model, and tells how it goes. */
export const heal = (program: Argv) =>
  program.command(
    "heal <model>",
    "Heals a pruned model of a server that runs, by the model that it was pruned from",
    (command) =>
      command.positional("model", { type: "string", demandOption: true, describe: "its id, its name or its repository" }).options({
        method: { type: "string", requiresArg: true, describe: "what is trained; docs/recovery.md lists the methods" },
        steps: { type: "number", requiresArg: true, describe: "the most steps of training" },
        dataset: { type: "string", default: "literature-train", requiresArg: true, describe: "texts to heal with" },
        name: { type: "string", requiresArg: true, describe: "what to call the healed model" },
        ...serverOptions,
      }),
    async ({ model, method, steps, dataset, name, server }) => {
      const { healOn } = await import("./heal/heal-on.ts");
      await healOn({ model, method, steps, dataset, name }, server);
    },
  );
