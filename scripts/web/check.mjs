/** Checks the dashboard's types, in its components too; warnings count. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { writeTypes } from "./types.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
await writeTypes();
const args = [
  "node_modules/svelte-check/bin/svelte-check",
  "--workspace",
  "web",
  "--tsconfig",
  "tsconfig.json",
  "--output",
  "human",
  "--fail-on-warnings",
];
const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
process.exit(status ?? 1);
