import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { EspalierError } from "../../../src/errors.ts";
import { readHeader } from "../../../src/models/blueprints/safetensors.ts";
import { storeFolder } from "../../../src/models/inspect.ts";
import { type Random, randomInteger, seededRandom } from "../../../src/random.ts";
import { processorMs } from "../../support/processor-time.ts";
import { safetensors, storedWeight, type Variant, variantOf, writeFolder } from "../../support/safetensors-folder.ts";

const scratch = mkdtempSync(join(tmpdir(), "espalier-safetensors-"));
after(() => rmSync(scratch, { recursive: true }));
const path = join(scratch, "one.safetensors");

/** A file of a header as it is given, and so many bytes after it. */
const file = (header: unknown, bytes: number, length?: bigint): Buffer => {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(length ?? BigInt(text.length));
  return Buffer.concat([head, text, Buffer.alloc(bytes)]);
};
const tensor = (dtype: unknown, shape: unknown, data_offsets: unknown) => ({ dtype, shape, data_offsets });

const broken: Readonly<Record<string, readonly [Buffer, RegExp]>> = {
  "too short": [Buffer.from("abc"), /has 3 bytes/],
  "a header beyond the end": [file({}, 0, 2n ** 62n), /header has 4611686018427387904 bytes, but only 2 follow/],
  "no JSON": [file("{'a'", 0), /its header is not JSON/],
  "no UTF-8": [Buffer.concat([Buffer.from([3, 0, 0, 0, 0, 0, 0, 0]), Buffer.from([34, 255, 34])]), /its header is not JSON/],
  "a list": [file([], 0), /not a JSON object/],
  "two of a name": [
    file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
    /states "a" twice/,
  ],
  "two shapes": [file('{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}', 4), /states "shape" twice/],
  "an unknown type": [file({ a: tensor("F99", [1], [0, 4]) }, 4), /tensor "a" has the type "\\"F99\\""; known are BOOL/],
  "a type of JavaScript's own": [file({ a: tensor("constructor", [1], [0, 4]) }, 4), /tensor "a" has the type/],
  "a negative size": [file({ a: tensor("F32", [-1], [0, 4]) }, 4), /tensor "a" has no shape of whole numbers/],
  "half a size": [file({ a: tensor("F32", [0.5], [0, 2]) }, 2), /tensor "a" has no shape of whole numbers/],
  "sizes past all numbers": [file({ a: tensor("F32", [2 ** 40, 2 ** 40], [0, 4]) }, 4), /needs \S+ bytes, but lies from 0 to 4/],
  "a place that is too small": [
    file({ a: tensor("F32", [2], [0, 4]) }, 4),
    /of type F32 and shape \[2\] needs 8 bytes, but lies from 0 to 4/,
  ],
  "a place that ends before it begins": [file({ a: tensor("F32", [1], [4, 0]) }, 4), /needs 4 bytes, but lies from 4 to 0/],
  "a place past the end": [file({ a: tensor("F32", [1], [4, 8]) }, 4), /tensor "a" ends at byte \d+, but the file has/],
  "tensors over one another": [
    file({ a: tensor("F32", [2], [0, 8]), b: tensor("F32", [2], [4, 12]) }, 12),
    /tensor "b" begins at byte \d+, inside the tensor before it/,
  ],
  "a gap": [file({ a: tensor("F32", [1], [0, 4]), b: tensor("F32", [1], [8, 12]) }, 12), /4 bytes before tensor "b" belong to no tensor/],
  "bytes at the end": [file({ a: tensor("F32", [1], [0, 4]) }, 9), /its tensors end at byte \d+, but it has/],
  "a field of its own": [file({ a: { ...tensor("F32", [1], [0, 4]), extra: 1 } }, 4), /tensor "a" has the field "extra"/],
  "no object": [file({ a: 3 }, 0), /tensor "a" is not described by an object/],
  "notes that are no texts": [file({ __metadata__: { format: ["pt"] } }, 0), /its __metadata__ is not an object of texts/],
  "a name with NUL": [file({ "a\0": tensor("F32", [1], [0, 4]) }, 4), /character NUL/],
};

describe("a safetensors file", () => {
  for (const [what, [bytes, message]] of Object.entries(broken))
    it(`with ${what} is refused by its name`, async () => {
      writeFileSync(path, bytes);
      await assert.rejects(readHeader(path, "one.safetensors"), (error: EspalierError) => {
        assert.deepEqual([error.code, error.details["file"]], ["INVALID_SAFETENSORS", "one.safetensors"]);
        assert.match(error.message, message);
        assert.match(error.message, /^one\.safetensors: /);
        return true;
      });
    });

  it("may hold tensors without elements, of no axes, and notes", async () => {
    writeFileSync(path, file({ __metadata__: { a: "b" }, none: tensor("F32", [0, 3], [0, 0]), one: tensor("BF16", [], [0, 2]) }, 2));
    const found = await readHeader(path, "one.safetensors");
    assert.deepEqual(
      found.map(({ name, dataType, dims, length }) => ({ name, dataType, dims, length })),
      [
        { name: "none", dataType: "float32", dims: [0, 3], length: 0 },
        { name: "one", dataType: "bfloat16", dims: [], length: 2 },
      ],
    );
  });
});

const seed = Number(process.env["FUZZ_SEED"] ?? 1);
const rounds = Number(process.env["FUZZ_ROUNDS"] ?? 6) * 50;

const mutations: Readonly<Record<string, (bytes: Buffer, random: Random) => Buffer>> = {
  "a bit flipped": (bytes, random) => {
    const at = randomInteger(random, Math.min(bytes.length, 2000));
    bytes[at] = (bytes[at] as number) ^ (1 << randomInteger(random, 8));
    return bytes;
  },
  "cut short": (bytes, random) => bytes.subarray(0, randomInteger(random, bytes.length)),
  "a piece doubled": (bytes, random) => {
    const at = randomInteger(random, 2000);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at - Math.min(at, 40))]);
  },
  "a number changed": (bytes, random) => {
    const length = Number(bytes.readBigUInt64LE());
    const text = bytes.subarray(8, 8 + length).toString("latin1");
    const numbers = [...text.matchAll(/\d+/g)];
    const { index, 0: old } = numbers[randomInteger(random, numbers.length)] as RegExpExecArray;
    const other = ["0", "1", "-1", "1e9", "18446744073709551616", `${Number(old) + 1}`, `${Number(old) * 2}`][
      randomInteger(random, 7)
    ] as string;
    return Buffer.concat([file(text.slice(0, index) + other + text.slice(index + old.length), 0), bytes.subarray(8 + length)]);
  },
};

describe("hostile safetensors", () => {
  it(`give an error with a code, or tensors that lie in the file (FUZZ_SEED=${seed})`, async (t) => {
    const { tensors } = variantOf("llama");
    const whole = safetensors(Object.fromEntries(Object.entries(tensors).map(([name, shape]) => [name, storedWeight(name, shape)])));
    const outcomes = new Map<string, number>();
    for (const [what, mutate] of Object.entries(mutations))
      for (let i = 0; i < rounds; i++) {
        writeFileSync(path, mutate(Buffer.from(whole), seededRandom(seed, `${what}/${i}`)));
        let outcome = "tensors";
        const ms = await processorMs(async () => {
          try {
            const found = await readHeader(path, "one.safetensors");
            const size = Math.max(...found.map((f) => f.offset + f.length));
            assert.ok(found.every((f) => f.offset >= 8 && f.length >= 0 && f.offset + f.length <= size));
          } catch (error) {
            assert.ok(error instanceof EspalierError && error.code === "INVALID_SAFETENSORS", `${what} ${i}: ${error}`);
            assert.ok(error.message.length < 2000);
            outcome = "refused";
          }
        });
        assert.ok(ms < 1000, `${what} ${i} took ${ms} ms`);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    t.diagnostic([...outcomes].map(([o, n]) => `${o} ${n}`).join(", "));
    assert.ok((outcomes.get("refused") ?? 0) > 0 && (outcomes.get("tensors") ?? 0) > 0, "the mutations spoil all or nothing");
  });

  it("with a header as long as the format allows is read in bounded time", async () => {
    const header = JSON.stringify(Object.fromEntries(Array.from({ length: 200_000 }, (_, i) => [`t${i}`, tensor("F32", [0], [0, 0])])));
    writeFileSync(path, file(header, 0));
    const ms = await processorMs(async () => assert.equal((await readHeader(path, "one.safetensors")).length, 200_000));
    assert.ok(ms < 5000, `${ms} ms`);
  });
});

describe("a folder of weights", () => {
  const base = variantOf("llama");
  const changed = (change: Record<string, unknown>): Variant => ({ ...base, config: { ...base.config, ...change } });
  let count = 0;
  /** What registering a folder says, which must leave nothing in the store. */
  async function refusal(write: (folder: string) => void): Promise<EspalierError> {
    const folder = join(scratch, `folder${count++}`);
    const data = join(scratch, `data${count}`);
    writeFolder(folder, base);
    write(folder);
    const refused = await storeFolder(data, folder).then(
      () => assert.fail("it was registered"),
      (error) => error as EspalierError,
    );
    assert.ok(!readdirSync(scratch).includes(`data${count}`), "something was stored");
    return refused;
  }
  const all = Object.fromEntries(Object.entries(base.tensors).map(([name, shape]) => [name, storedWeight(name, shape)]));
  const weights = (folder: string, tensors: typeof all, name = "model.safetensors") =>
    writeFileSync(join(folder, name), safetensors(tensors));
  const gemma2 = variantOf("gemma2");
  const down = "model.layers.1.mlp.down_proj.weight";

  const refusals: Readonly<Record<string, readonly [write: (folder: string) => void, code: string, message: RegExp]>> = {
    "a tensor missing": [
      (folder) => weights(folder, Object.fromEntries(Object.entries(all).filter(([name]) => name !== down))),
      "WEIGHTS_MISMATCH",
      /hold no tensor "model.layers.1.mlp.down_proj.weight"/,
    ],
    "a tensor too many": [
      (folder) => weights(folder, { ...all, "model.layers.2.mlp.down_proj.weight": storedWeight("x", [40, 52]) }),
      "WEIGHTS_MISMATCH",
      /^model.safetensors: tensor "model.layers.2.mlp.down_proj.weight" \[40, 52\] has no place/,
    ],
    "another shape": [
      (folder) => weights(folder, { ...all, [down]: storedWeight(down, [52, 40]) }),
      "WEIGHTS_MISMATCH",
      /^model.safetensors: tensor "model.layers.1.mlp.down_proj.weight" has the shape \[52, 40\], but by config.json it is \[40, 52\]$/,
    ],
    "a type that nothing computes in": [
      (folder) => weights(folder, { ...all, [down]: { dtype: "I8", shape: [40, 52], bytes: new Uint8Array(2080) } }),
      "WEIGHTS_MISMATCH",
      /is of type I8; weights of F32, F16 and BF16 are read/,
    ],
    "an option that is not known": [
      (folder) => writeFolder(folder, changed({ use_new_trick: true })),
      "UNSUPPORTED_CONFIG",
      /states use_new_trick = true, which is not known for this family/,
    ],
    "an activation that is not known": [
      (folder) => writeFolder(folder, changed({ hidden_act: "xielu" })),
      "UNSUPPORTED_CONFIG",
      /states hidden_act = "xielu"; supported are silu, swish/,
    ],
    "a scaling that is not known": [
      (folder) => writeFolder(folder, changed({ rope_scaling: { rope_type: "mrope", factor: 2 } })),
      "UNSUPPORTED_CONFIG",
      /states rope_scaling.rope_type = "mrope"; supported are default, linear, dynamic, yarn, longrope, llama3/,
    ],
    "a scaling's option that is not known": [
      (folder) => writeFolder(folder, changed({ rope_scaling: { rope_type: "linear", factor: 2, skew: 3 } })),
      "UNSUPPORTED_CONFIG",
      /states rope_scaling.skew = 3/,
    ],
    "a size that is none": [
      (folder) => writeFolder(folder, changed({ hidden_size: "forty" })),
      "UNSUPPORTED_CONFIG",
      /states hidden_size = "forty"; supported are whole numbers/,
    ],
    "more layers than anyone has": [
      (folder) => writeFolder(folder, changed({ num_hidden_layers: 2 ** 30 })),
      "UNSUPPORTED_CONFIG",
      /states num_hidden_layers = 1073741824; supported are/,
    ],
    "quantised weights": [
      (folder) => writeFolder(folder, changed({ quantization_config: { quant_method: "gptq" } })),
      "UNSUPPORTED_CONFIG",
      /quantization_config/,
    ],
    "a family that is not known": [
      (folder) => writeFolder(folder, changed({ model_type: "mamba" })),
      "UNSUPPORTED_FAMILY",
      /model_type = "mamba", which no graph is built of; those known are llama, /,
    ],
    "an index to a file outside": [
      (folder) => {
        rmSync(join(folder, "model.safetensors"));
        writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: { [down]: "../model.safetensors" } }));
      },
      "INVALID_SAFETENSORS",
      /names "\.\.\/model\.safetensors", which is no \.safetensors file beside it/,
    ],
    "an index to a file that is not there": [
      (folder) => {
        rmSync(join(folder, "model.safetensors"));
        writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: { [down]: "a.safetensors" } }));
      },
      "INVALID_SAFETENSORS",
      /names the file "a\.safetensors", which is not there/,
    ],
    "weights that are a link out of the root": [
      (folder) => {
        const outside = join(scratch, "outside.safetensors");
        weights(scratch, all, "outside.safetensors");
        rmSync(join(folder, "model.safetensors"));
        symlinkSync(outside, join(folder, "model.safetensors"));
      },
      "PATH_OUTSIDE_MODEL_ROOT",
      /"model.safetensors" lies outside the model root/,
    ],
    "a base of positions that is below 0": [
      (folder) => writeFolder(folder, changed({ rope_theta: -5 })),
      "UNSUPPORTED_CONFIG",
      /states rope_theta = -5; supported are numbers above 0/,
    ],
    "a factor of positions that is 0": [
      (folder) => writeFolder(folder, changed({ rope_scaling: { rope_type: "dynamic", factor: 0 } })),
      "UNSUPPORTED_CONFIG",
      /states rope_scaling.factor = 0; supported are numbers above 0/,
    ],
    "a scaling without a name": [
      (folder) => writeFolder(folder, changed({ rope_scaling: { factor: 2 } })),
      "UNSUPPORTED_CONFIG",
      /does not state rope_scaling.rope_type; supported are default, linear/,
    ],
    "an epsilon below 0": [
      (folder) => writeFolder(folder, changed({ rms_norm_eps: -1 })),
      "UNSUPPORTED_CONFIG",
      /states rms_norm_eps = -1; supported are numbers from 0 on/,
    ],
    "a window of no tokens": [
      (folder) => writeFolder(folder, { ...gemma2, config: { ...gemma2.config, sliding_window: 0 } }),
      "UNSUPPORTED_CONFIG",
      /states sliding_window = 0; supported are whole numbers from 1/,
    ],
    "scores capped at 0": [
      (folder) => writeFolder(folder, { ...gemma2, config: { ...gemma2.config, attn_logit_softcapping: 0 } }),
      "UNSUPPORTED_CONFIG",
      /states attn_logit_softcapping = 0; supported are numbers above 0/,
    ],
    "a configuration that nests without end": [
      (folder) => writeFileSync(join(folder, "config.json"), `{"model_type":${"[".repeat(100_000)}${"]".repeat(100_000)}}`),
      "INVALID_JSON",
      /config.json is not JSON: it nests deeper than 200 levels/,
    ],
    "an index that names no file": [
      (folder) => {
        rmSync(join(folder, "model.safetensors"));
        writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: { [down]: { a: 1 } } }));
      },
      "INVALID_SAFETENSORS",
      /names \{"a":1\}, which is no .safetensors file beside it/,
    ],
    "a tied head that is another": [
      (folder) => writeFolder(folder, changed({ tie_word_embeddings: true })),
      "WEIGHTS_MISMATCH",
      /ties the head to the embedding, but model.safetensors holds a "lm_head.weight" that differs/,
    ],
  };
  for (const [what, [write, code, message]] of Object.entries(refusals))
    it(`with ${what} is refused, and leaves nothing behind`, async () => {
      const error = await refusal(write);
      assert.equal(error.code, code, error.stack);
      assert.match(error.message, message);
    });

  it("whose weights are no numbers is told of it", async () => {
    const folder = writeFolder(join(scratch, "none"), base, (name, shape) => {
      const { bytes, ...rest } = storedWeight(name, shape);
      return {
        ...rest,
        bytes: name === down ? new Uint8Array(Float32Array.from({ length: bytes.length / 4 }, () => Number.NaN).buffer) : bytes,
      };
    });
    const { notes } = await storeFolder(join(scratch, "none-data"), folder);
    assert.match(notes.join(), /logits are no numbers \(NaN\)/);
  });

  it("in several files, with an index, is the same model", async () => {
    const folder = writeFolder(join(scratch, "sharded"), base);
    const whole = await storeFolder(join(scratch, "whole"), folder);
    rmSync(join(folder, "model.safetensors"));
    const entries = Object.entries(all);
    const files = { "model-00001-of-00002.safetensors": entries.slice(0, 7), "model-00002-of-00002.safetensors": entries.slice(7) };
    for (const [name, part] of Object.entries(files)) weights(folder, Object.fromEntries(part), name);
    const map = Object.entries(files).flatMap(([name, part]) => part.map(([t]) => [t, name]));
    writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: Object.fromEntries(map) }));
    const { digest: _, files: stored, sizeBytes: __, ...parts } = await storeFolder(join(scratch, "parts"), folder);
    const { digest: ___, files: ____, sizeBytes: _____, ...one } = whole;
    assert.deepEqual(parts, one);
    assert.deepEqual(stored.map((f) => f.path).sort(), ["config.json", ...Object.keys(files), "model.onnx"].sort());
  });

  it("that holds a graph too is read by its graph", async () => {
    const folder = writeFolder(join(scratch, "both"), base);
    writeFileSync(join(folder, "model.onnx"), "no graph");
    await assert.rejects(storeFolder(join(scratch, "both-data"), folder), { code: "INVALID_ONNX" });
  });
});
