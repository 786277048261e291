import { resolve } from "node:path";
import type { Argv } from "yargs";
import { callersFolder } from "../config.ts";

/** From a registered model to its pruned child, as a client sees it: everything goes over HTTP and graphql-ws. */
export const demo = (program: Argv) =>
  program.command(
    "demo",
    "Prunes and heals the bundled model through the API of a server of its own, and goes on serving until Ctrl-C",
    {
      once: { type: "boolean", default: false, describe: "end when all is shown" },
      data: { type: "string", requiresArg: true, default: "data/demo", describe: "the folder for the server's data" },
    },
    async ({ once, data }) => {
      const { tell } = await import("./demo/story.ts");
      await tell(resolve(callersFolder(), data), once);
    },
  );
