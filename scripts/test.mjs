/**
 * Runs every test, or those whose path contains one of the arguments: `npm test -- onnx`.
 * Lists the files itself, because Node 20's runner takes no patterns and shells differ in theirs.
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compile } from "./compile.mjs";
import { buildWeb } from "./web/build.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(`${root}/test`, { recursive: true })
  .map((path) => `test/${String(path).replaceAll("\\", "/")}`)
  .filter((path) => path.endsWith(".test.ts") && (wanted.length === 0 || wanted.some((part) => path.includes(part))))
  .sort();
if (files.length === 0) {
  console.error(`No test file matches ${wanted.join(" ")}`);
  process.exit(1);
}

// One more than two cores: many tests wait, for leases to end or clients to be given up.
const options = ["--enable-source-maps", "--test", "--test-reporter=spec", "--test-concurrency=3", "--test-timeout=600000"];
buildWeb();
const copy = await compile();
const programs = files.map((file) => join(copy, file.replace(/\.ts$/, ".js")));
const runner = spawn(process.execPath, [...options, ...programs], { cwd: root, stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => runner.kill(signal));
runner.on("exit", (code, signal) => process.exit(signal ? 1 : code));
