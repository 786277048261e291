/**
 * Attacks a server of its own, with its database, in some fifty ways, twice: documents, variables, connections, sockets, models, datasets
 * and the database. Says how long `/livez` was silent, how large the largest answer to a refused request was, and what memory it took.
 *
 *     npm run attack
 *     npm run attack -- --form short
 *
 * Exits with 1 if an answer is not what it must be, or a figure is not.
 */
import { parseArgs } from "node:util";
import { attack } from "./attack/attack.ts";
import { scales } from "./attack/attacks.ts";
import { broken } from "./attack/bars.ts";

const { values } = parseArgs({ options: { form: { type: "string", default: "long" } } });
const form = values.form as keyof typeof scales;
if (!(form in scales)) throw new Error(`--form must be one of ${Object.keys(scales).join(", ")}`);

const figures = await attack(form, console.log);
console.log(JSON.stringify(figures, null, 2));
const problems = broken(figures);
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
