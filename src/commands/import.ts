import type { Argv } from "yargs";
import { callersFolder } from "../config.ts";
import { serverOptions } from "./shared/server-options.ts";

/** Brings a model to a server that runs: from this machine, or by its name on a Hub. */
export const importModel = (program: Argv) =>
  program.command(
    "import <model>",
    "Brings a model to a server that runs: a folder or file of this machine, or OWNER/NAME of a Hub",
    (command) =>
      command
        .positional("model", {
          type: "string",
          demandOption: true,
          describe: "a folder with safetensors or ONNX, a .onnx, .gguf, .tar or .zip file; or OWNER/NAME[@REVISION] of the server's Hub",
        })
        .options({ name: { type: "string", requiresArg: true, describe: "what to call it" }, ...serverOptions }),
    async ({ model, name, server }) => {
      const { importTo } = await import("./import/import-to.ts");
      await importTo(server, callersFolder(), model, name ?? null);
    },
  );
