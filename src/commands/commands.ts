import type { Argv } from "yargs";
import { compare } from "./compare.ts";
import { compress } from "./compress.ts";
import { demo } from "./demo.ts";
import { evaluate } from "./evaluate.ts";
import { exportModel } from "./export.ts";
import { fsck } from "./fsck.ts";
import { heal } from "./heal.ts";
import { importModel } from "./import.ts";
import { inspect } from "./inspect.ts";
import { prune } from "./prune.ts";
import { api, start, worker } from "./serve.ts";
import { token } from "./token.ts";

/**
 * What the program can do, in the order of its help. A command is a file with its name, a line of what it does, its options and what
 * it runs, and an entry here. What runs is imported only then, so that help and completion are quick.
 *
 * yargs reads the arguments: it completes commands and options by itself, is kept by its community, brings six small packages, and
 * runs on every Node that we do. (commander wants Node 22 and completes nothing; oclif is a framework of 20 packages.)
 */
export const commands: readonly ((program: Argv) => Argv)[] = [
  start,
  api,
  worker,
  demo,
  importModel,
  prune,
  heal,
  compress,
  evaluate,
  exportModel,
  inspect,
  compare,
  token,
  fsck,
];
