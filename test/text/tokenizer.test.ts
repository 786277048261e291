import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Tokenizer as Library } from "@huggingface/tokenizers";
import fc from "fast-check";
import { loadDataset } from "../../src/text/datasets.ts";
import { StreamDecoder } from "../../src/text/stream-decoder.ts";
import { loadTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { withFolder } from "../support/folders.ts";
import { testModels } from "../support/models.ts";

const named = (name: string) => {
  const found = testModels.find((m) => m.name === name);
  if (!found) throw new Error(`no test model ${name}`);
  return found;
};
const ahab = named("ahab");
const text = (await loadDataset({ name: "literature-heldout" })).documents.join("\n");
const awkward = "Naïve façade, 東京タワー, Ελλάδα, 🐳🚢👩‍👩‍👧 and \t tabs\n\n\nAhab's   spaces.";

const parsed = async (folder: string, name: string) => JSON.parse(await readFile(join(folder, name), "utf8"));

describe("tokenizer", () => {
  const frames = [
    { name: "ahab", documentStart: [0], eosIds: [0], vocabularySize: 2048 },
    { name: "tinystories-656k", documentStart: [1], eosIds: [2], vocabularySize: 2048 },
    { name: "stories260k", documentStart: [1], eosIds: [2], vocabularySize: 512 },
  ];
  for (const { name, ...frame } of frames) {
    const { folder, skip } = named(name);
    it(`${name}: begins a document once, and adds nothing to a text`, { skip }, async () => {
      const tokenizer = await loadTokenizer(folder);
      const { documentStart, eosIds, vocabularySize } = tokenizer;
      assert.deepEqual({ documentStart, eosIds, vocabularySize }, frame);
      const ids = tokenizer.encode("Once upon a time");
      assert.equal(ids.length > 0 && ids.some((id) => tokenizer.specialIds.has(id)), false);
      assert.deepEqual(tokenizer.encodeDocument("Once upon a time"), [...frame.documentStart, ...ids]);
      assert.equal(tokenizer.decode(tokenizer.encodeDocument("Once upon a time")), "Once upon a time");
      assert.deepEqual(tokenizer.encode(""), []);
      assert.equal(tokenizer.decode([]), "");
    });

    it(`${name}: gives the tokens that the library gives for the file as it is`, { skip }, async () => {
      const tokenizer = await loadTokenizer(folder);
      const library = new Library(await parsed(folder, "tokenizer.json"), await parsed(folder, "tokenizer_config.json"));
      for (const sample of [text.slice(0, 20_000), awkward, "  two  spaces ", "▁sign▁▁"])
        assert.deepEqual(tokenizer.encode(sample), library.encode(sample, { add_special_tokens: false }).ids);
    });
  }

  it("takes back any text byte by byte", async () => {
    const tokenizer = await loadTokenizer(ahab.folder);
    assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 60 }), (s) => tokenizer.decode(tokenizer.encode(s)) === s));
  });

  it("encodes nearly half a million characters within seconds", async () => {
    const tokenizer = await loadTokenizer(ahab.folder);
    const begun = performance.now();
    tokenizer.encode(text);
    assert.ok(text.length > 450_000);
    assert.ok(performance.now() - begun < 10_000, `${performance.now() - begun} ms`);
  });

  it("prefers the post-processor's beginning over the configured BOS, and falls back to the tokenizer's settings", async () => {
    const definition = await parsed(ahab.folder, "tokenizer.json");
    const content = "<|endoftext|>";
    const template = { SpecialToken: { id: content, type_id: 0 } };
    const post_processor = {
      type: "TemplateProcessing",
      single: [template, template, { Sequence: { id: "A", type_id: 0 } }, template],
      pair: [],
      special_tokens: { [content]: { id: content, ids: [0], tokens: [content] } },
    };
    const rows = [
      { files: { "tokenizer.json": { ...definition, post_processor }, "config.json": { bos_token_id: 5 } }, start: [0, 0], eos: [] },
      { files: { "tokenizer.json": definition, "config.json": { bos_token_id: 5, eos_token_id: [6, 7] } }, start: [5], eos: [6, 7] },
      {
        files: {
          "tokenizer.json": definition,
          "config.json": { eos_token_id: 6 },
          "generation_config.json": { bos_token_id: 8, eos_token_id: 9 },
        },
        start: [8],
        eos: [9],
      },
      {
        files: { "tokenizer.json": definition, "tokenizer_config.json": { bos_token: { content }, eos_token: content } },
        start: [0],
        eos: [0],
      },
      { files: { "tokenizer.json": definition }, start: [], eos: [] },
    ];
    for (const { files, start, eos } of rows)
      await withFolder(files, async (folder) => {
        const tokenizer = await loadTokenizer(folder);
        assert.deepEqual([tokenizer.documentStart, tokenizer.eosIds], [start, eos], JSON.stringify(Object.keys(files)));
      });
  });

  it("says what is wrong with a folder's files", async () => {
    const rows = [
      { files: {}, code: "TOKENIZER_MISSING" },
      { files: { "tokenizer.json": "{" }, code: "INVALID_JSON" },
      { files: { "tokenizer.json": "[]" }, code: "INVALID_JSON" },
      { files: { "tokenizer.json": {} }, code: "INVALID_TOKENIZER" },
    ];
    for (const { files, code } of rows) await withFolder(files, (folder) => assert.rejects(loadTokenizer(folder), { code }));
  });
});

describe("stream decoder", () => {
  const wellFormed = (piece: string) => !/[\p{Cs}\uFFFD]/u.test(piece);
  const streamed = (tokenizer: Tokenizer, ids: readonly number[], context: readonly number[]) => {
    const decoder = new StreamDecoder(tokenizer, context);
    const pieces = ids.map((id) => decoder.push(id));
    return { pieces, rest: decoder.flush() };
  };

  for (const { name, folder, skip } of testModels)
    it(`${name}: pieces are whole characters and join to the text`, { skip }, async () => {
      const tokenizer = await loadTokenizer(folder);
      for (const sample of [awkward, text.slice(0, 2000)]) {
        const ids = tokenizer.encode(sample);
        const { pieces, rest } = streamed(tokenizer, ids, []);
        // Not the sample itself: one of the vocabularies lacks most of the awkward characters.
        assert.equal(pieces.join(""), tokenizer.decode(ids));
        assert.equal(rest, "");
        assert.deepEqual(
          pieces.filter((p) => !wellFormed(p)),
          [],
        );
      }
      const whole = tokenizer.encode("Call me Ishmael. Some years ago");
      for (const at of whole.keys()) {
        const { pieces, rest } = streamed(tokenizer, whole.slice(at), whole.slice(0, at));
        assert.equal(tokenizer.decode(whole.slice(0, at)) + pieces.join("") + rest, "Call me Ishmael. Some years ago");
      }
    });

  it("streams any text", async () => {
    const tokenizer = await loadTokenizer(ahab.folder);
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 30 }), (s) => {
        const { pieces, rest } = streamed(tokenizer, tokenizer.encode(s), []);
        return pieces.join("") + rest === s && pieces.every(wellFormed);
      }),
    );
  });

  it("holds back half a character, and shows at the end that it never came whole", async () => {
    const tokenizer = await loadTokenizer(ahab.folder);
    const ids = tokenizer.encode("a🐳");
    assert.ok(ids.length > 2, "the whale takes several tokens");
    const { pieces, rest } = streamed(tokenizer, ids.slice(0, -1), []);
    assert.equal(pieces.join(""), "a");
    assert.match(rest, /^\uFFFD+$/);
  });
});
