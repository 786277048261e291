/** Answers requests (llama-cpp.ts) by llama.cpp itself: `node llama-cpp-runner.mjs LIBRARIES < requests.json`. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const [libraries] = process.argv.slice(2);
const llama = createRequire(import.meta.url)(join(libraries, "llama-addon.node"));
const said = [];
llama.setLogger((_, message) => said.push(message));
llama.setLoggerLogLevel(2);
llama.loadBackends(libraries);
await llama.init();
llama.loadBackends(libraries);

const float32 = 0;

async function answer({ path, prompt, vocabulary, count }) {
  said.length = 0;
  const model = new llama.AddonModel(path, { addonExports: llama, gpuLayers: 0, useMmap: true });
  if (!(await model.init().catch(() => false))) return { refused: said.join("").trim().slice(-500) };
  const begin = model.shouldPrependBosToken() ? [model.tokenBos()] : [];
  const tokens = typeof prompt === "string" ? [...begin, ...model.tokenize(prompt, false)] : prompt;
  const size = tokens.length + count + 8;
  const settings = { contextSize: size, batchSize: size, sequences: 1, threads: 1, flashAttention: false, swaFullCache: true };
  const context = new llama.AddonContext(model, { ...settings, kvCacheKeyType: float32, kvCacheValueType: float32 });
  await context.init();
  const sampler = new llama.AddonSampler(model);
  sampler.applyConfig({ temperature: 0 });
  const read = async (own, at, wanted) => {
    context.initBatch(own.length);
    const rows = context.addToBatch(0, at, Uint32Array.from(own), Uint32Array.from(wanted));
    await context.decodeBatch();
    return [...rows];
  };
  const rows = await read(tokens, 0, [...tokens.keys()]);
  const logits = new Float32Array(tokens.length * vocabulary);
  let next = -1;
  for (const [t, row] of rows.entries()) {
    const [token, , , pairs] = await context.sampleToken(row, sampler, false, false, true, false);
    for (let i = 0; i < pairs.length; i += 2) logits[t * vocabulary + pairs[i]] = pairs[i + 1];
    next = token;
  }
  const written = [];
  while (written.length < count) {
    written.push(next);
    const [row] = await read([next], tokens.length + written.length - 1, [0]);
    next = await context.sampleToken(row, sampler);
  }
  sampler.dispose();
  await context.dispose();
  await model.dispose();
  return { tokens: [...tokens], text: written, logits: Buffer.from(logits.buffer).toString("base64") };
}

const answers = [];
for (const request of JSON.parse(await text(process.stdin))) answers.push(await answer(request));
process.stdout.write(JSON.stringify(answers), () => process.exit(0));
