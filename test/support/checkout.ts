import { realpathSync } from "node:fs";
import { dirname, extname } from "node:path";
import { fileURLToPath } from "node:url";

/** Where the sources lie: tests run from a compiled copy, in which folders such as `docs` are links. */
export const checkout = dirname(realpathSync(new URL("../../docs", import.meta.url)));

/** Where a program lies as the tests run it, compiled or not, by its path without extension: `src/main`. */
export const program = (path: string): string => fileURLToPath(new URL(`../../${path}${extname(import.meta.url)}`, import.meta.url));

/** The arguments with which Node runs such a program: where it is not compiled, a loader is among our own. */
export const nodeArguments = (path: string): string[] => [...process.execArgv, program(path)];
