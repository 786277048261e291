/**
 * Writes what schema.graphql says as types for the dashboard's documents, unless they are of that schema already.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

export async function writeTypes() {
  const schema = readFileSync(at("schema.graphql"), "utf8");
  const target = at("web/src/generated/introspection.d.ts");
  const stamp = `// ${createHash("sha256").update(schema).digest("hex")}\n`;
  if (existsSync(target) && readFileSync(target, "utf8").startsWith(stamp)) return;
  const { buildSchema, introspectionFromSchema } = await import("graphql");
  const { minifyIntrospection, outputIntrospectionFile } = await import("@gql.tada/internal");
  const introspection = minifyIntrospection(introspectionFromSchema(buildSchema(schema), { descriptions: false }));
  mkdirSync(at("web/src/generated"), { recursive: true });
  writeFileSync(target, stamp + outputIntrospectionFile(introspection, { fileType: ".d.ts", shouldPreprocess: true }));
}
