import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { EspalierError } from "../../../src/errors.ts";
import { finished } from "../../../src/finished.ts";
import { LanguageModel } from "../../../src/inference/language-model.ts";
import { graphOfFolder } from "../../../src/models/blueprints/graph-of-folder.ts";
import { readContainer } from "../../../src/models/gguf/container.ts";
import { folderOfGguf } from "../../../src/models/gguf/folder-of-gguf.ts";
import { type Typed, writeContainer } from "../../../src/models/gguf/write-container.ts";
import { inspect } from "../../../src/models/inspect.ts";
import { seededRandom } from "../../../src/random.ts";
import { loadChatTemplate } from "../../../src/text/chat-template.ts";
import { loadTokenizer } from "../../../src/text/tokenizer.ts";

/** A Llama that the `gguf` package wrote, and what transformers computes of it (scripts/fixtures/gguf_files.py). */
const fixtures = fileURLToPath(new URL("../../fixtures/gguf/", import.meta.url));
const tiny = readFileSync(join(fixtures, "tiny.gguf"));
const expected = JSON.parse(readFileSync(join(fixtures, "tiny.json"), "utf8")) as {
  readonly tokens: readonly number[];
  readonly logits: string;
};

const scratch = mkdtempSync(join(tmpdir(), "espalier-gguf-"));
after(() => rmSync(scratch, { recursive: true }));

let files = 0;
const stored = (bytes: Uint8Array): string => {
  const path = join(scratch, `${files++}.gguf`);
  writeFileSync(path, bytes);
  return path;
};

const read = (bytes: Uint8Array) => readContainer(stored(bytes), "a.gguf");

/** A file of no tensors with these metadata. */
function fileOf(metadata: Readonly<Record<string, Typed>>): Buffer {
  const path = join(scratch, `${files++}.gguf`);
  for (const _ of writeContainer(path, new Map(Object.entries(metadata)), [])) void _;
  return readFileSync(path);
}

const text = (value: string | readonly string[]): Typed => ({ as: "TEXT", value });

/** The place of a text in the fixture, and the bytes with what follows it changed. */
const after_ = (mark: string): number => tiny.indexOf(mark) + mark.length;
const changed = (change: (bytes: Buffer) => void, of: Buffer = tiny): Buffer => {
  const bytes = Buffer.from(of);
  change(bytes);
  return bytes;
};

describe("a GGUF file", () => {
  it("of the gguf package becomes a folder that computes what transformers does, with tokenizer and chat template", async () => {
    const folder = join(scratch, "tiny");
    const notes = await finished(folderOfGguf([{ path: join(fixtures, "tiny.gguf"), file: "tiny.gguf" }], folder));
    assert.match(
      notes.join(),
      /5 of the 11 tensors of the GGUF file were quantised \(Q4_0, Q4_1, Q5_0, Q5_1, Q8_0\); they are kept as float16/,
    );
    writeFileSync(join(folder, "model.onnx"), (await graphOfFolder({ root: folder, folder })).bytes);
    const model = await LanguageModel.open({ folder, executionProvider: "CPU", threads: 1 });
    const found = await model.logits([expected.tokens]).finally(() => model.close());
    const logits = new Float32Array(new Uint8Array(Buffer.from(expected.logits, "base64")).buffer);
    const largest = logits.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const apart = found.reduce((most, v, i) => Math.max(most, Math.abs(v - (logits[i] as number))), 0);
    // The embedding is of float16, so the graph is.
    assert.ok(apart < 1e-2 * largest, `logits differ by ${apart} of ${largest}`);
    const tokenizer = await loadTokenizer(folder, 288);
    assert.deepEqual(tokenizer.documentStart, [266]);
    assert.deepEqual(tokenizer.eosIds, [267]);
    assert.equal(tokenizer.decode(tokenizer.encode("and then — 世界<|end|>")), "and then — 世界");
    assert.equal((await loadChatTemplate(folder))?.([{ role: "user", content: "hello" }]), "hello<|end|>");
  });

  it("is read as it is written: metadata, shapes and places", () => {
    const { metadata, tensors } = readContainer(join(fixtures, "tiny.gguf"), "tiny.gguf");
    assert.equal(metadata.get("llama.attention.layer_norm_rms_epsilon"), 1e-5);
    assert.equal((metadata.get("tokenizer.ggml.tokens") as string[]).length, 288);
    assert.equal(metadata.get("tokenizer.ggml.add_bos_token"), true);
    assert.deepEqual(tensors.get("blk.0.ffn_down.weight")?.dims, [64, 96]);
    assert.equal(tensors.get("blk.0.attn_k.weight")?.type.name, "Q4_1");
    const version2 = changed((b) => b.writeUInt32LE(2, 4));
    assert.deepEqual(read(version2).tensors.size, 11);
  });

  const wrong: readonly (readonly [string, () => Buffer, string, RegExp])[] = [
    ["that is none", () => Buffer.from("PK\u0003\u0004 and more bytes"), "INVALID_GGUF", /a.gguf: does not begin with "GGUF"/],
    ["of no bytes", () => Buffer.alloc(0), "INVALID_GGUF", /ends at byte 0, where 4 bytes more/],
    ["of version 1", () => changed((b) => b.writeUInt32LE(1, 4)), "UNSUPPORTED_GGUF", /version 1; versions 2 and 3/],
    ["that is big-endian", () => changed((b) => b.writeUInt32BE(3, 4)), "UNSUPPORTED_GGUF", /big-endian/],
    ["of 2^60 tensors", () => changed((b) => b.writeBigUInt64LE(1n << 60n, 8)), "INVALID_GGUF", /none past 2\^53/],
    ["of a million tensors", () => changed((b) => b.writeBigUInt64LE(1_000_000n, 8)), "INVALID_GGUF", /1000000 tensors; at most 100000/],
    ["of a million keys", () => changed((b) => b.writeBigUInt64LE(1_000_000n, 16)), "INVALID_GGUF", /1000000 keys/],
    [
      "with a type that is none",
      () => changed((b) => b.writeUInt32LE(77, after_("llama.context_length"))),
      "INVALID_GGUF",
      /metadata "llama.context_length" is of type 77/,
    ],
    [
      "with a list of lists",
      () => changed((b) => b.writeUInt32LE(9, after_("tokenizer.ggml.tokens") + 4)),
      "INVALID_GGUF",
      /metadata "tokenizer.ggml.tokens" is of type 9/,
    ],
    [
      "with a list longer than the file",
      () => changed((b) => b.writeBigUInt64LE(4_000_000n, after_("tokenizer.ggml.tokens") + 8)),
      "INVALID_GGUF",
      /lists 4000000 values, but only \d+ bytes follow/,
    ],
    [
      "with a text longer than the file",
      () => changed((b) => b.writeBigUInt64LE(10_000_000n, after_("general.name") + 4)),
      "INVALID_GGUF",
      /where \d+ bytes more were expected: it is cut short/,
    ],
    [
      "with true that is 7",
      () => changed((b) => b.writeUInt8(7, after_("tokenizer.ggml.add_bos_token") + 4)),
      "INVALID_GGUF",
      /"tokenizer.ggml.add_bos_token" holds 7/,
    ],
    [
      "that states a key twice",
      () => changed((b) => b.write("eos", tiny.indexOf("tokenizer.ggml.bos_token_id") + "tokenizer.ggml.".length)),
      "INVALID_GGUF",
      /states metadata "tokenizer.ggml.eos_token_id" twice/,
    ],
    [
      "with a tensor of nine axes",
      () => changed((b) => b.writeUInt32LE(9, after_("blk.0.attn_q.weight"))),
      "INVALID_GGUF",
      /"blk.0.attn_q.weight" has 9 axes/,
    ],
    [
      "with rows that no block fits",
      () => changed((b) => b.writeBigUInt64LE(65n, after_("blk.0.attn_q.weight") + 4)),
      "INVALID_GGUF",
      /"blk.0.attn_q.weight" of type Q4_0 has rows of 65 elements; multiples of 32/,
    ],
    [
      "of a type that is not read",
      () => changed((b) => b.writeUInt32LE(18, after_("blk.0.attn_q.weight") + 20)),
      "UNSUPPORTED_GGUF",
      /tensor "blk.0.attn_q.weight" is of type IQ3_XXS/,
    ],
    [
      "with a tensor inside another",
      () => changed((b) => b.writeBigUInt64LE(32n, after_("blk.0.attn_q.weight") + 24)),
      "INVALID_GGUF",
      /"blk.0.attn_q.weight" begins at byte \d+, inside "token_embd.weight"/,
    ],
    [
      "with a tensor out of line",
      () => changed((b) => b.writeBigUInt64LE(33n, after_("blk.0.attn_q.weight") + 24)),
      "INVALID_GGUF",
      /begins at byte 33 of the tensors; a multiple of 32/,
    ],
    ["that is cut short", () => tiny.subarray(0, tiny.length - 2000), "INVALID_GGUF", /ends at byte \d+, but the file has/],
    [
      "of an odd alignment",
      () => fileOf({ "general.alignment": { as: "U32", value: 48 } }),
      "INVALID_GGUF",
      /"general.alignment" is 48; a power of two/,
    ],
  ];
  for (const [what, bytes, code, message] of wrong)
    it(`${what} is refused`, () => {
      assert.throws(
        () => read(bytes()),
        (error: EspalierError) => {
          assert.equal(error.code, code, String(error));
          assert.match(error.message, message);
          assert.equal(error.details["file"], "a.gguf");
          return true;
        },
      );
    });

  it("with any byte changed is read or refused with a code, and nothing is left of it", async () => {
    const seed = 5;
    const random = seededRandom(seed);
    const head = tiny.indexOf("blk.0.ffn_norm.weight") + 64;
    const data = join(scratch, "data");
    for (let i = 0; i < 400; i++) {
      const bytes = changed((b) => {
        for (let n = 0; n < 1 + Math.floor(random() * 3); n++) b[Math.floor(random() * head)] = Math.floor(random() * 256);
      });
      const cut = random() < 0.1 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : bytes;
      const path = stored(cut);
      try {
        await finished(folderOfGguf([{ path, file: "a.gguf" }], join(scratch, `fuzz-${i}`)));
      } catch (error) {
        assert.ok(error instanceof EspalierError, `seed ${seed}, ${i}: ${error instanceof Error ? error.stack : error}`);
      }
      rmSync(path);
      rmSync(join(scratch, `fuzz-${i}`), { recursive: true, force: true });
    }
    writeFileSync(join(scratch, "broken.gguf"), tiny.subarray(0, tiny.length - 2000));
    await assert.rejects(inspect({ dataDirectory: data, modelRoot: scratch, path: "broken.gguf" }), { code: "INVALID_GGUF" });
    assert.deepEqual(
      readdirSync(scratch).includes("data") ? readdirSync(data, { recursive: true }).filter((p) => String(p).includes(".")) : [],
      [],
    );
  });
});

it("a GGUF file whose numbers of heads and tensors disagree is refused", async () => {
  const path = stored(changed((b) => b.writeUInt32LE(4, after_("llama.attention.head_count_kv") + 4)));
  const reading = finished(folderOfGguf([{ path, file: "a.gguf" }], join(scratch, "many")));
  await assert.rejects(reading, {
    code: "INVALID_GGUF",
    message: /"blk.0.attn_k.weight" has 32 rows; by the numbers of heads 64 were expected/,
  });
});

describe("what a GGUF file says", () => {
  const converted = (metadata: Readonly<Record<string, Typed>>) => {
    const path = stored(fileOf(metadata));
    return finished(folderOfGguf([{ path, file: "a.gguf" }], join(scratch, `told-${files++}`)));
  };
  const rows: readonly (readonly [string, Readonly<Record<string, Typed>>, string, RegExp])[] = [
    ["no architecture", { "general.name": text("x") }, "UNSUPPORTED_GGUF", /"general.architecture" is null; known are chatglm, cohere2, /],
    [
      "an architecture that is not known",
      { "general.architecture": text("mamba") },
      "UNSUPPORTED_GGUF",
      /"general.architecture" is "mamba"/,
    ],
    [
      "a part of a model",
      { "general.architecture": text("llama"), "split.count": { as: "U32", value: 3 } },
      "INVALID_GGUF",
      /one of 3 parts of a model; by its name it is one of 1/,
    ],
    ["no number of layers", { "general.architecture": text("llama") }, "INVALID_GGUF", /"llama.block_count" is not stated/],
  ];
  for (const [what, metadata, code, message] of rows)
    it(`${what} is refused`, () => assert.rejects(converted(metadata), { code, message }));
});
