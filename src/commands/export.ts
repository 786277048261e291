import { resolve } from "node:path";
import type { Argv } from "yargs";
import { callersFolder } from "../config.ts";
import { serverOptions } from "./shared/server-options.ts";

/** Has a server that runs write a model in a format that others load, and fetches it into a folder of this machine. */
export const exportModel = (program: Argv) =>
  program.command(
    "export <model>",
    "Fetches a model of a server that runs, in a format that others load",
    (command) =>
      command.positional("model", { type: "string", demandOption: true, describe: "its id, its name or its repository" }).options({
        format: {
          type: "string",
          demandOption: true,
          requiresArg: true,
          describe: "the form, such as SAFETENSORS; docs/exporting.md lists them",
        },
        to: { type: "string", demandOption: true, requiresArg: true, describe: "a folder that is not there yet, or is empty" },
        weights: { type: "string", requiresArg: true, describe: "in what to keep the weights" },
        padding: { type: "boolean", default: false, describe: "fill up with zeros what the format cannot state" },
        ...serverOptions,
      }),
    async ({ model, format, to, weights, padding, server }) => {
      const { exportTo } = await import("./export/export-to.ts");
      await exportTo(
        { model, format: format.toUpperCase(), to: resolve(callersFolder(), to), weights: weights?.toUpperCase(), padding },
        server,
      );
    },
  );
