/**
 * Makes the file that npm installs, `espalier-VERSION.tgz`, in the folder named or the current one:
 *
 *     npm run pack
 */
import { resolve } from "node:path";
import { pack } from "./package.ts";

console.log(pack(resolve(process.argv[2] ?? ".")));
