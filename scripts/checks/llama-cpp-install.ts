/**
 * Installs llama.cpp for the tests that load GGUF files with it: prebuilt, from npm, beside the other packages and in no list of them, for
 * it is large and made for each platform apart.
 *
 *     npm run llama-cpp:install
 */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const version = "3.22.1";
/** What the package is called for a platform: its libraries for the processor alone. */
const platforms: Readonly<Record<string, string>> = {
  "linux/x64": "linux-x64",
  "linux/arm64": "linux-arm64",
  "darwin/x64": "mac-x64",
  "darwin/arm64": "mac-arm64-metal",
  "win32/x64": "win-x64",
};

const platform = platforms[`${process.platform}/${process.arch}`];
if (platform === undefined) {
  console.error(`There is no llama.cpp for ${process.platform}/${process.arch}.`);
  process.exit(1);
}
const folder = fileURLToPath(new URL("../../node_modules/.llama-cpp", import.meta.url));
mkdirSync(folder, { recursive: true });
const options = ["--prefix", folder, "--ignore-scripts", "--no-save", "--no-audit", "--no-fund"];
const { status } = spawnSync("npm", ["install", ...options, `@node-llama-cpp/${platform}@${version}`], { stdio: "inherit" });
process.exit(status ?? 1);
