import { resolve } from "node:path";
import type { Argv } from "yargs";
import { callersFolder } from "../config.ts";
import { serverOptions } from "./shared/server-options.ts";

/** Has a server that runs compress a model, and tells how it goes. */
export const compress = (program: Argv) =>
  program.command(
    "compress <model>",
    "Has a server that runs give a model fewer bits or zeros, and waits for what comes of it",
    (command) =>
      command.positional("model", { type: "string", demandOption: true, describe: "its id, its name or its repository" }).options({
        scheme: { type: "string", requiresArg: true, describe: "what weights become, such as INT4; docs/compression.md lists the schemes" },
        method: { type: "string", requiresArg: true, describe: "how that is found; docs/compression.md lists the methods" },
        dataset: {
          type: "string",
          requiresArg: true,
          describe: "texts to go by, for a method that reads any",
          defaultDescription: "literature-train",
        },
        to: { type: "string", requiresArg: true, describe: "a folder to fetch the compressed model into: not there yet, or empty" },
        name: { type: "string", requiresArg: true, describe: "what to call the compressed model" },
        ...serverOptions,
      }),
    async ({ model, scheme, method, dataset, to, name, server }) => {
      const { compressOn } = await import("./compress/compress-on.ts");
      const named = { scheme: scheme?.toUpperCase(), method: method?.toUpperCase().replaceAll("-", "_") };
      await compressOn({ model, ...named, dataset, to: to === undefined ? undefined : resolve(callersFolder(), to), name }, server);
    },
  );
