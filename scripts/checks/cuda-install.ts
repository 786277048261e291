/**
 * Puts the CUDA provider of ONNX Runtime beside the npm package's library, from a wheel of PyPI's `onnxruntime-gpu` of the same version
 * and commit, and says whether CUDA can then be loaded.
 *
 *     pip download --no-deps onnxruntime-gpu==1.30.0
 *     npm run cuda:install -- onnxruntime_gpu-1.30.0-*.whl
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { installProvider, UnfitWheel } from "./cuda/provider-wheel.ts";

const [wheel] = process.argv.slice(2);
if (!wheel) {
  console.error("usage: npm run cuda:install -- WHEEL");
  process.exit(2);
}
const platform = `${process.platform}/${process.arch}`;
if (platform !== "linux/x64") {
  console.error(`ONNX Runtime has a CUDA provider for npm's library on linux/x64 only; this is ${platform}.`);
  process.exit(1);
}
const manifest = createRequire(import.meta.url).resolve("onnxruntime-node/package.json");
const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
const folder = join(dirname(manifest), "bin", "napi-v6", "linux", "x64");
try {
  const { commit, cudaVersion } = await installProvider(wheel, join(folder, "libonnxruntime.so.1"), version, folder);
  console.log(`Installed the CUDA provider of ONNX Runtime ${version} (commit ${commit}, CUDA ${cudaVersion}) in ${folder}.`);
} catch (error) {
  if (!(error instanceof UnfitWheel)) throw error;
  console.error(`Nothing was installed: ${error.message}.`);
  process.exit(1);
}
const { cudaObstacle } = await import("../../src/runtime/providers.ts");
const obstacle = await cudaObstacle();
console.log(obstacle === null ? "CUDA can be loaded." : `CUDA cannot be loaded yet: ${obstacle}`);
