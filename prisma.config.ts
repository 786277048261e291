import { fileURLToPath } from "node:url";
import { defineConfig } from "prisma/config";

// Prisma's CLI stops when it cannot download its native schema engine, even for commands that never run it: `generate` and
// `validate` only look whether the file is there. This one is. Who has the real engine names it in the environment.
process.env["PRISMA_SCHEMA_ENGINE_BINARY"] ??= fileURLToPath(import.meta.url);

export default defineConfig({
  schema: "prisma/schema.prisma",
  migrations: { path: "prisma/migrations" },
  datasource: { url: process.env["DATABASE_URL"] ?? "postgresql://unset.invalid/espalier" },
});
