/**
 * Measures what importing a folder of safetensors takes, beside reading its files once and working out their SHA-256 on one thread, and what exporting it
 * as safetensors takes, beside copying them: seconds, and the memory that is the process's own.
 *
 *     npm run bench:import -- [--gigabytes 4] [--folder /where/there/is/room]
 *
 * Files of the server's own (uploads, downloads) are taken as they are; those of a folder of others are copied. As root it empties the
 * system's cache of files before each, as it is when files are new; else what it finds is what the cache holds.
 */
import { createHash, randomBytes } from "node:crypto";
import { constants, createReadStream, existsSync, readFileSync, writeFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, open, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ComputeProcess } from "../../src/compute/compute-process.ts";
import type { Tasks } from "../../src/compute/tasks.ts";

const { values } = parseArgs({ options: { gigabytes: { type: "string", default: "4" }, folder: { type: "string", default: tmpdir() } } });
const [hidden, width, vocabulary] = [1024, 4096, 1024];
const perLayer = 4 * (4 * hidden * hidden + 3 * hidden * width + 2 * hidden);
const layers = Math.max(1, Math.round((Number(values.gigabytes) * 2 ** 30) / perLayer));

/** A Llama of random weights in float32, without a tokenizer. */
async function writeModel(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const config = {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    hidden_size: hidden,
    intermediate_size: width,
    vocab_size: vocabulary,
  };
  const more = {
    num_hidden_layers: layers,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    max_position_embeddings: 512,
    tie_word_embeddings: true,
  };
  writeFileSync(
    join(folder, "config.json"),
    JSON.stringify({ ...config, ...more, torch_dtype: "float32", hidden_act: "silu", rms_norm_eps: 1e-5 }),
  );
  const shapes: [string, number[]][] = [
    ["model.embed_tokens.weight", [vocabulary, hidden]],
    ["model.norm.weight", [hidden]],
  ];
  for (let i = 0; i < layers; i++) {
    const at = (name: string) => `model.layers.${i}.${name}.weight`;
    for (const part of ["q", "k", "v", "o"]) shapes.push([at(`self_attn.${part}_proj`), [hidden, hidden]]);
    for (const part of ["gate", "up"]) shapes.push([at(`mlp.${part}_proj`), [width, hidden]]);
    shapes.push([at("mlp.down_proj"), [hidden, width]], [at("input_layernorm"), [hidden]], [at("post_attention_layernorm"), [hidden]]);
  }
  const header: Record<string, object> = {};
  let end = 0;
  for (const [name, shape] of shapes) {
    const begin = end;
    end += 4 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: "F32", shape, data_offsets: [begin, end] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = await open(join(folder, "model.safetensors"), "w");
  await file.writeFile(Buffer.concat([length, json]));
  // Small numbers, of which no sum overflows.
  const block = Buffer.from(Float32Array.from(randomBytes(2 ** 21), (byte) => (byte - 127.5) / 10_000).buffer);
  for (let left = end; left > 0; left -= block.length) await file.writeFile(left < block.length ? block.subarray(0, left) : block);
  await file.sync();
  await file.close();
}

/** Empties the system's cache of files, if we may. */
function forget(): void {
  const switchOf = "/proc/sys/vm/drop_caches";
  if (process.getuid?.() === 0 && existsSync(switchOf)) writeFileSync(switchOf, "1");
}

const secondsOf = async (work: () => Promise<unknown>): Promise<number> => {
  forget();
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
};

/** Memory that no file backs, of a process, in bytes. */
const ownMemory = (pid: number): number => {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/RssAnon:\s*(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
};

/** A task in a process of its own: what it takes, and what comes of it. */
async function taken<Name extends "import" | "export">(
  task: Name,
  request: Tasks[Name]["request"],
): Promise<{ readonly seconds: number; readonly peak: number; readonly result: Tasks[Name]["result"] }> {
  const compute = new ComputeProcess();
  let peak = 0;
  const timer = setInterval(() => {
    if (compute.pid !== undefined && existsSync(`/proc/${compute.pid}/status`)) peak = Math.max(peak, ownMemory(compute.pid));
  }, 50);
  try {
    let result: Tasks[Name]["result"] | null = null;
    const seconds = await secondsOf(async () => {
      const steps = compute.run(task, request, new AbortController().signal);
      let step = await steps.next();
      while (!step.done) step = await steps.next();
      result = step.value;
    });
    if (result === null) throw new Error("the task gave nothing");
    return { seconds, peak, result };
  } finally {
    clearInterval(timer);
    await compute.kill();
  }
}

const folder = await mkdtemp(join(values.folder, "espalier-import-"));
try {
  const model = join(folder, "models/large");
  await writeModel(model);
  const weights = join(model, "model.safetensors");
  const { size } = await stat(weights);
  const reading = await secondsOf(async () => {
    for await (const _ of createReadStream(weights, { highWaterMark: 1 << 20 }));
  });
  const hashing = await secondsOf(async () => {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(weights, { highWaterMark: 1 << 20 })) hash.update(chunk);
    hash.digest();
  });
  const copying = await secondsOf(async () => {
    // As copies are made that share nothing with what they are of.
    await copyFile(weights, join(folder, "copy"), constants.COPYFILE_EXCL);
    const copy = await open(join(folder, "copy"));
    await copy.sync();
    await copy.close();
  });
  await rm(join(folder, "copy"));
  const importing = (dataDirectory: string, source: Tasks["import"]["request"]["source"]) =>
    taken("import", { dataDirectory, source, scratch: join(dataDirectory, "scratch") });
  const path = await importing(join(folder, "copied"), { kind: "PATH", modelRoot: join(folder, "models"), path: "large" });
  await rm(join(folder, "copied"), { recursive: true });
  const sent = join(folder, "sent");
  await mkdir(sent);
  const files = [];
  for (const [i, name] of ["config.json", "model.safetensors"].entries()) {
    files.push({ path: name, sizeBytes: (await stat(join(model, name))).size, sha256: null });
    await rename(join(model, name), join(sent, String(i)));
  }
  const dataDirectory = join(folder, "taken");
  const upload = await importing(dataDirectory, { kind: "UPLOAD", folder: sent, files });
  const { digest, files: stored, architecture } = upload.result;
  const exported = await taken("export", {
    model: { dataDirectory, digest, files: stored, vocabularySize: architecture.vocabularySize },
    options: { format: "SAFETENSORS", weights: "AS_IS", padding: false },
    scratch: join(dataDirectory, "scratch"),
  });
  const row = (name: string, seconds: number, of: number, memory = "") =>
    `| ${name} | ${seconds.toFixed(1)} | ${(seconds / of).toFixed(2)} | ${memory} |`;
  const mega = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  console.log(`A Llama of ${layers} layers, ${mega(size)} of float32 safetensors.\n`);
  console.log("| | seconds | times reading once | memory of its own |\n| --- | ---: | ---: | ---: |");
  console.log(row("reading the files once", reading, reading));
  console.log(row("reading them for their SHA-256, on one thread", hashing, reading));
  console.log(row("import of an upload or a download, taken as it is", upload.seconds, reading, mega(upload.peak)));
  console.log(row("import of a folder under the model root, copied", path.seconds, reading, mega(path.peak)));
  console.log("\n| | seconds | times copying once | memory of its own |\n| --- | ---: | ---: | ---: |");
  console.log(row("copying the files once, to the disk", copying, copying));
  console.log(row("export as SAFETENSORS", exported.seconds, copying, mega(exported.peak)));
} finally {
  await rm(folder, { recursive: true, force: true });
}
