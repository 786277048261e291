import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { EspalierError } from "../../src/errors.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { readSpecialTokens } from "../../src/text/special-tokens.ts";
import { StreamDecoder } from "../../src/text/stream-decoder.ts";
import { loadTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { withFolder } from "../support/folders.ts";
import { testModels } from "../support/models.ts";
import { processorMs } from "../support/processor-time.ts";

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
      assert.equal(ids.length > 0 && ids.some((id) => tokenizer.specialTokens.has(id)), false);
      assert.deepEqual(tokenizer.encodeDocument("Once upon a time"), [...frame.documentStart, ...ids]);
      assert.equal(tokenizer.decode(tokenizer.encodeDocument("Once upon a time")), "Once upon a time");
      assert.deepEqual(tokenizer.encode(""), []);
      assert.equal(tokenizer.decode([]), "");
    });
  }

  it("takes back any text byte by byte", async () => {
    const tokenizer = await loadTokenizer(ahab.folder);
    assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 60 }), (s) => tokenizer.decode(tokenizer.encode(s)) === s));
  });

  it("encodes nearly half a million characters within seconds", async () => {
    const tokenizer = await loadTokenizer(ahab.folder);
    assert.ok(text.length > 450_000);
    const taken = await processorMs(() => tokenizer.encode(text));
    assert.ok(taken < 10_000, `${taken} ms`);
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

/** A small tokenizer of words, with some of its parts changed. */
const wordLevel = { type: "WordLevel", vocab: { "[UNK]": 0, sea: 1, whale: 2 }, unk_token: "[UNK]" };
const withParts = (parts: object) => ({
  added_tokens: [],
  pre_tokenizer: { type: "WhitespaceSplit" },
  decoder: null,
  model: wordLevel,
  ...parts,
});
const bpe = (parts: object) => withParts({ model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: [["a", "b"]], ...parts } });
const regex = (source: string) =>
  withParts({ pre_tokenizer: { type: "Split", pattern: { Regex: source }, behavior: "Isolated", invert: false } });

describe("a tokenizer that is not done as Hugging Face's does it", () => {
  const unsupported: readonly (readonly [what: string, definition: object, component: string, problem: RegExp])[] = [
    ["splits by scripts", withParts({ pre_tokenizer: { type: "UnicodeScripts" } }), "pre_tokenizer", /"UnicodeScripts"/],
    [
      "splits so within a sequence",
      withParts({ pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, { type: "Mine" }] } }),
      "pre_tokenizer.pretokenizers[1]",
      /"Mine"/,
    ],
    ["decodes sounds", withParts({ decoder: { type: "CTC" } }), "decoder", /"CTC"/],
    ["normalises in its own way", withParts({ normalizer: { type: "Mine" } }), "normalizer", /"Mine"/],
    ["has another model", withParts({ model: { type: "Mine" } }), "model", /"Mine"/],
    ["has another post-processor", withParts({ post_processor: { type: "Mine" } }), "post_processor", /"Mine"/],
    ["drops merges by chance", bpe({ dropout: 0.1 }), "model", /dropout/],
    ["refers back", regex("(a)\\1"), "pre_tokenizer", /\\1/],
    ["calls what it does not know", regex("\\p{Klingon}"), "pre_tokenizer", /Klingon/],
    ["looks back for an atomic group", regex("(?<=(?>a+))b"), "pre_tokenizer", /looked back/],
    ["ignores the case of letters that one character stands for", regex("(?i:fist)"), "pre_tokenizer", /"fi"|"f.*i"/],
    ["has half a regular expression", regex("a("), "pre_tokenizer", /bracket/],
    ["spells out its regular expression", regex("(?x: a )"), "pre_tokenizer", /options/],
  ];
  for (const [what, definition, component, problem] of unsupported)
    it(`is refused with the component: ${what}`, () =>
      withFolder({ "tokenizer.json": definition }, (folder) =>
        assert.rejects(loadTokenizer(folder), (error: EspalierError) => {
          assert.deepEqual([error.code, error.details["component"]], ["UNSUPPORTED_TOKENIZER", component]);
          assert.match(error.message, problem);
          return true;
        }),
      ));

  const invalid: readonly (readonly [what: string, definition: object, component: string, problem: RegExp])[] = [
    ["a merge of tokens that are none", bpe({ merges: [["a", "c"]] }), "model", /"c"/],
    ["a merge to a token that is none", bpe({ merges: [["b", "a"]] }), "model", /"ba"/],
    ["a merge of three", bpe({ merges: [["a", "b", "a"]] }), "model", /merge 0/],
    ["an unknown token that is none", withParts({ model: { ...wordLevel, unk_token: "?" } }), "model", /unknown token "\?"/],
    ["no vocabulary", withParts({ model: { type: "WordLevel", unk_token: "?" } }), "model.vocab", /not an object/],
    ["an id that is none", withParts({ model: { ...wordLevel, vocab: { "[UNK]": -1 } } }), "model", /"\[UNK\]"/],
    [
      "an added token with another id than in the vocabulary",
      withParts({ added_tokens: [{ id: 3, content: "sea" }] }),
      "added_tokens[0]",
      /3/,
    ],
    ["an added token with another's id", withParts({ added_tokens: [{ id: 1, content: "x" }] }), "added_tokens[0]", /"sea"/],
    ["a behavior that is none", withParts({ pre_tokenizer: { type: "Punctuation", behavior: "Mine" } }), "pre_tokenizer", /behavior/],
    [
      "a prefix that is and is not",
      withParts({ pre_tokenizer: { type: "Metaspace", replacement: "_", add_prefix_space: false } }),
      "pre_tokenizer",
      /different/,
    ],
    ["half a normalisation", withParts({ normalizer: { type: "Precompiled", precompiled_charsmap: "AAAB" } }), "normalizer", /cut off/],
  ];
  for (const [what, definition, component, problem] of invalid)
    it(`is invalid with ${what}`, () =>
      withFolder({ "tokenizer.json": definition }, (folder) =>
        assert.rejects(loadTokenizer(folder), (error: EspalierError) => {
          assert.deepEqual(
            [error.code === "INVALID_TOKENIZER" || /bracket/.test(error.message), error.details["component"]],
            [true, component],
          );
          assert.match(error.message, problem);
          return true;
        }),
      ));
});

describe("a tokenizer beyond all bounds", () => {
  const nested = (depth: number) => [`{"type":"Sequence","normalizers":[`.repeat(depth), `{"type":"NFC"}`, "]}".repeat(depth)].join("");
  const growing = {
    type: "Sequence",
    normalizers: Array(8).fill({ type: "Replace", pattern: { String: "a" }, content: "a".repeat(1000) }),
  };
  const use: Readonly<Record<string, (folder: string) => Promise<unknown>>> = {
    "nested too deeply": loadTokenizer,
    "too much of a text": async (folder) => (await loadTokenizer(folder)).encode("a"),
    "too large": async (folder) => (await loadTokenizer(folder)).encode("a"),
  };
  const files: Readonly<Record<string, string | object>> = {
    "nested too deeply": JSON.stringify(withParts({ normalizer: "@" })).replace('"@"', nested(20_000)),
    "too much of a text": withParts({ normalizer: growing }),
    "too large": regex("a".repeat(3_000_000)),
  };
  for (const [problem, work] of Object.entries(use))
    it(`says so: ${problem}`, () =>
      withFolder({ "tokenizer.json": files[problem] }, (folder) =>
        assert.rejects(work(folder), { code: "INVALID_TOKENIZER", message: new RegExp(problem) }),
      ));
});

describe("tokens that the model has no row for", () => {
  const pad = { id: 640, content: "[PAD]", special: true };
  const folderOf = (work: (folder: string) => Promise<void>, parts: object = {}, config: object = {}) =>
    withFolder({ "tokenizer.json": withParts({ added_tokens: [pad], ...parts }), "config.json": config }, work);

  it("are refused where a text has them, by name, and are not counted", () =>
    folderOf(async (folder) => {
      const tokenizer = await loadTokenizer(folder, 640);
      assert.deepEqual(tokenizer.encode("sea whale"), [1, 2]);
      assert.equal(tokenizer.vocabularySize, 640);
      for (const encode of [tokenizer.encode, tokenizer.encodeDocument])
        assert.throws(() => encode("sea [PAD]"), {
          code: "UNKNOWN_TOKEN",
          message: /token 640 \("\[PAD\]"\).*640 rows/,
          details: { tokenId: 640, vocabularySize: 640 },
        });
      assert.deepEqual((await loadTokenizer(folder, 641)).encode("sea [PAD]"), [1, 640]);
      assert.deepEqual((await loadTokenizer(folder)).encode("sea [PAD]"), [1, 640]);
    }));

  it("are refused at once where each document would begin with them", () =>
    folderOf(
      (folder) => assert.rejects(loadTokenizer(folder, 640), { code: "UNKNOWN_TOKEN", message: /beginning of every document/ }),
      {},
      { bos_token_id: 640 },
    ));

  it("show a tokenizer that is another model's", () =>
    folderOf((folder) =>
      assert.rejects(loadTokenizer(folder, 2), {
        code: "INVALID_TOKENIZER",
        message: /"whale" has the id 2, and the model's embedding has 2 rows/,
      }),
    ));
});

describe("special tokens", () => {
  const read = async (files: Readonly<Record<string, unknown>>) => {
    let found: unknown;
    await withFolder(files, async (folder) => {
      found = await readSpecialTokens(folder);
    });
    return found;
  };
  const config = { bos_token: "<s>", eos_token: { content: "</s>", lstrip: false }, unk_token: null, tokenizer_class: "X" };
  const map = { bos_token: "<b>", pad_token: { content: "<pad>" }, additional_special_tokens: ["<x>", { content: "<y>" }] };

  it("are those of both files; the map counts more, unless the configuration lists all tokens", async () => {
    const rest = { eos_token: "</s>", pad_token: "<pad>", additional_special_tokens: ["<x>", "<y>"] };
    assert.deepEqual(await read({ "tokenizer_config.json": config, "special_tokens_map.json": map }), { ...rest, bos_token: "<b>" });
    const newer = { ...config, added_tokens_decoder: {} };
    assert.deepEqual(await read({ "tokenizer_config.json": newer, "special_tokens_map.json": map }), { ...rest, bos_token: "<s>" });
    assert.deepEqual(await read({}), {});
  });

  it("begin and end documents, whichever file names them", async () => {
    const definition = withParts({
      added_tokens: [
        { id: 3, content: "<s>", special: true },
        { id: 4, content: "</s>", special: true },
      ],
    });
    await withFolder(
      { "tokenizer.json": definition, "special_tokens_map.json": { bos_token: "<s>", eos_token: { content: "</s>" } } },
      async (folder) => {
        const { documentStart, eosIds } = await loadTokenizer(folder);
        assert.deepEqual([documentStart, eosIds], [[3], [4]]);
      },
    );
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
