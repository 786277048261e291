/** Writes schema.graphql, the API as its users read it: run after any change to src/api. */
import { writeFileSync } from "node:fs";
import { printedSchema } from "../../src/api/schema.ts";

writeFileSync(new URL("../../schema.graphql", import.meta.url), printedSchema());
