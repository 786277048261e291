import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Metadata } from "../../../src/models/gguf/container.ts";
import { preTokenizers } from "../../../src/models/gguf/tokenizer/pre-tokenizers.ts";
import { readTokenizer } from "../../../src/models/gguf/tokenizer/read-tokenizer.ts";
import { writeTokenizer } from "../../../src/models/gguf/tokenizer/write-tokenizer.ts";
import { asRead } from "../../../src/models/gguf/write-container.ts";
import { loadTokenizer } from "../../../src/text/tokenizer.ts";
import { checkout } from "../../support/checkout.ts";

const scratch = mkdtempSync(join(tmpdir(), "espalier-gguf-tokenizers-"));
after(() => rmSync(scratch, { recursive: true }));

const texts = [
  "Call me Ishmael. Some years ago - never mind how long precisely",
  "  two  spaces, a tab\tand\n\nlines\r\n",
  "It's 12345 and 3.14, aren't they? I'LL SEE",
  "naïve café — 世界 🙂 ﬁ",
  "<s>no sign</s><|endoftext|>",
  "",
  " ",
];

/** The folder of a tokenizer that has been metadata. */
async function throughMetadata(folder: string, rows: number, name: string): Promise<string> {
  const { metadata } = await writeTokenizer(folder, rows);
  const back = readTokenizer(asRead(metadata), "a.gguf", rows);
  assert.ok(back);
  const target = join(scratch, name);
  cpSync(folder, target, { recursive: true, filter: (path) => !/\.(?:onnx|safetensors)$|onnx$/.test(path) });
  for (const file of ["tokenizer.json", "tokenizer_config.json"] as const) writeFileSync(join(target, file), JSON.stringify(back[file]));
  return target;
}

const bundled = fileURLToPath(new URL("../../../models/ahab", import.meta.url));
const shared = join(checkout, "../shared/models/");
const folders: readonly (readonly [string, string, number])[] = [
  ["ahab", bundled, 2048],
  ["stories260k", join(shared, "stories260k"), 512],
  ["tinystories-656k", join(shared, "tinystories-656k"), 2048],
];

describe("a tokenizer that goes through a GGUF file's metadata", () => {
  for (const [name, folder, rows] of folders)
    it(`${name}: cuts texts as it did, and says what begins and ends them`, {
      skip: !existsSync(folder) && "no such model here",
    }, async () => {
      const own = await loadTokenizer(folder, rows);
      const back = await loadTokenizer(await throughMetadata(folder, rows, name), rows);
      for (const text of texts) {
        assert.deepEqual(back.encode(text), own.encode(text), JSON.stringify(text));
        assert.equal(back.decode(own.encode(text)), own.decode(own.encode(text)), JSON.stringify(text));
      }
      assert.deepEqual(back.documentStart, own.documentStart);
      assert.deepEqual(back.eosIds, own.eosIds);
    });

  for (const { names, preTokenizer, normalizer, ignoresMerges = false } of preTokenizers)
    it(`${names[0]}: is found by how it cuts words, and read by each of its names`, async () => {
      const folder = join(scratch, `named-${names[0]}`);
      cpSync(bundled, folder, { recursive: true, filter: (path) => !/\.safetensors$|onnx$/.test(path) });
      const file = JSON.parse(readFileSync(join(bundled, "tokenizer.json"), "utf8"));
      const own = { ...file, pre_tokenizer: preTokenizer, normalizer, model: { ...file.model, ignore_merges: ignoresMerges } };
      writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(own));
      const { metadata } = await writeTokenizer(folder, 2048);
      assert.equal(metadata.get("tokenizer.ggml.pre")?.value, names[0]);
      for (const name of names) {
        const read = readTokenizer(new Map([...asRead(metadata), ["tokenizer.ggml.pre", name]]), "a.gguf", 2048);
        assert.deepEqual(read?.["tokenizer.json"]["pre_tokenizer"], preTokenizer);
        assert.deepEqual(read?.["tokenizer.json"]["normalizer"], normalizer);
      }
    });

  const given: Metadata = new Map<string, string | readonly string[] | readonly number[]>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", "gpt-2"],
    ["tokenizer.ggml.tokens", ["a", "b", "ab"]],
    ["tokenizer.ggml.merges", ["a b"]],
  ]);
  const wrong: readonly (readonly [string, readonly (readonly [string, unknown])[], string, RegExp])[] = [
    ["of a kind that is not known", [["model", "bert"]], "UNSUPPORTED_TOKENIZER", /"tokenizer.ggml.model" is "bert".*gpt2, llama/],
    ["that cuts words in an unknown way", [["pre", "kimi-k2"]], "UNSUPPORTED_TOKENIZER", /"tokenizer.ggml.pre" is "kimi-k2".*gpt-2/],
    ["without tokens", [["tokens", undefined]], "INVALID_GGUF", /"tokenizer.ggml.tokens" is not stated; a list of texts/],
    ["with a token twice", [["tokens", ["a", "b", "a"]]], "INVALID_GGUF", /each token once, but "a" is both 0 and 2/],
    ["with more tokens than rows", [["tokens", ["a", "b", "ab", "c", "d"]]], "INVALID_GGUF", /at most 4 tokens.*there are 5/],
    ["with types of other tokens", [["token_type", [1, 1]]], "INVALID_GGUF", /"tokenizer.ggml.token_type".*a list of 3 numbers/],
    ["that ends with no token", [["eos_token_id", 9]], "INVALID_GGUF", /"tokenizer.ggml.eos_token_id" is 9; a token's id, below 3/],
    [
      "of pieces that are too long",
      [
        ["model", "llama"],
        ["scores", [0, 0, 0]],
        ["tokens", ["a", "b", "a".repeat(300)]],
      ],
      "INVALID_GGUF",
      /at most 256 characters/,
    ],
    ["of pieces without scores", [["model", "llama"]], "INVALID_GGUF", /"tokenizer.ggml.scores" is not stated/],
  ];
  for (const [what, changes, code, message] of wrong)
    it(`${what} is refused`, () => {
      const entries = new Map<string, unknown>(given);
      for (const [key, value] of changes)
        if (value === undefined) entries.delete(`tokenizer.ggml.${key}`);
        else entries.set(`tokenizer.ggml.${key}`, value);
      assert.throws(() => readTokenizer(entries as Metadata, "a.gguf", 4), { code, message });
    });
});
