import type { Argv } from "yargs";
import { EspalierError } from "../errors.ts";
import { comparisonOptions, settingsOf } from "./compare/arguments.ts";

/**
 * Which method loses least? Prunes one model by each, to the same share of its parameters, with the same texts and seeds, and
 * measures what is left of it on the same data. Everything goes through the API of a server that this command starts.
 */
export const compare = (program: Argv) =>
  program.command(
    "compare",
    "Prunes one model by each method, and measures what each lost",
    (command) =>
      command
        .options(comparisonOptions)
        .check((values) => {
          const wrong = Object.entries(values).find(([, value]) => Number.isNaN(value));
          if (wrong) throw new EspalierError("USAGE", `--${wrong[0]} must be a number`);
          return true;
        })
        .epilogue(
          "Files are .txt, .jsonl or .json, as the mutation registerDataset takes them. What has been measured for the same arguments stands in " +
            "the results file and is not measured again.",
        ),
    async (values) => {
      const { compareMethods } = await import("./compare/comparison.ts");
      await compareMethods(settingsOf(values));
    },
  );
