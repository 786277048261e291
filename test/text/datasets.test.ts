import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { extname } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type ChoiceItem, contentOf, maximumRecords, parseDataset, serialise, sha256Of, textsOf } from "../../src/text/dataset-content.ts";
import { datasetFiles, datasets, loadDataset } from "../../src/text/datasets.ts";
import { overlapOf } from "../../src/text/overlap.ts";

const card = JSON.parse(readFileSync(new URL("../../models/ahab/data.json", import.meta.url), "utf8"));
const [train, heldOut] = await Promise.all([loadDataset({ name: "literature-train" }), loadDataset({ name: "literature-heldout" })]);

describe("built-in datasets", () => {
  it("hold out what the bundled model's card says was held out and that it did not read elsewhere", async () => {
    const files = await datasetFiles();
    const held = files.filter(({ id }, i) => datasets.find((d) => d.name === "literature-heldout")?.holds(id, i));
    assert.deepEqual(
      held.map((f) => f.id),
      card.heldOut.filter((id: string) => id.includes("sotu")),
    );
    assert.deepEqual(
      heldOut.documents,
      held.map((f) => readFileSync(f.path, "utf8")),
    );
    const trained = files.filter(({ id }, i) => datasets.find((d) => d.name === "literature-train")?.holds(id, i)).map((f) => f.id);
    assert.deepEqual([trained.length, held.length, files.length], [353, 12, 373]);
    assert.deepEqual(
      trained.filter((id) => card.heldOut.includes(id)),
      [],
    );
  });

  it("share no more than what presidents quote of each other", () => {
    const { ratio } = overlapOf(heldOut.documents, train.documents);
    assert.ok(ratio > 0 && ratio < 0.015, `${ratio}`);
  });

  it("are always the same", () => {
    // The packages are pinned: other bytes would make every figure in the README incomparable.
    const digest = (documents: readonly string[]) => sha256Of(serialise({ form: "TEXT", documents }));
    assert.equal(digest(heldOut.documents), "54574ef70d37e4b285c800267cc058022d7b114e6d7423f6ff7f1495c3c0c71b");
    assert.equal(digest(train.documents), "1871474699a97dea180c5096e43735b9262f12305e73c71fde52e5a837d6f764");
  });

  it("are refused by names they do not have", () =>
    assert.rejects(loadDataset({ name: "wikitext" }), {
      code: "DATASET_NOT_FOUND",
      details: { name: "wikitext", known: ["literature-train", "literature-heldout"] },
    }));
});

const bytes = (text: string) => new TextEncoder().encode(text);
const item: ChoiceItem = { context: "Question: why?\nAnswer:", choices: [" Because.", " So."], gold: 0 };
const twin: ChoiceItem = { contexts: ["Ahab", "Starbuck"], continuation: " gave orders.", gold: 1 };

describe("dataset content", () => {
  it("is read from text, JSON lines and JSON arrays", () => {
    assert.deepEqual(parseDataset(".txt", bytes("One\n\ndocument.")), { form: "TEXT", documents: ["One\n\ndocument."] });
    const texts = { form: "TEXT", documents: ["a b", "c"] };
    assert.deepEqual(parseDataset(".jsonl", bytes('"a b"\n\n{"text": "c", "id": 7}\r\n')), texts);
    assert.deepEqual(parseDataset(".json", bytes('["a b", {"text": "c"}]')), texts);
    const lines = [{ ...item, id: "x" }, twin].map((i) => JSON.stringify(i)).join("\n");
    assert.deepEqual(parseDataset(".JSONL", bytes(lines)), { form: "MULTIPLE_CHOICE", items: [item, twin] });
  });

  it("is prompts with answers too, and those come back from their bytes", () => {
    const prompts = [
      { prompt: "2 + 2 =", answer: " 4" },
      { prompt: "", answer: "Call me Ishmael." },
    ];
    const content = parseDataset(".json", bytes(JSON.stringify(prompts.map((p) => ({ ...p, id: 1 })))));
    assert.deepEqual(content, { form: "GENERATION", items: prompts });
    assert.deepEqual(parseDataset(".jsonl", serialise(content)), content);
    assert.deepEqual(textsOf(content), ["2 + 2 =  4", " Call me Ishmael."]);
  });

  it("comes back from its bytes, and the same content has the same digest", () => {
    const content = { form: "MULTIPLE_CHOICE", items: [item, twin] } as const;
    assert.deepEqual(parseDataset(".jsonl", serialise(content)), content);
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme" }), { minLength: 1, maxLength: 5 }), (documents) => {
        fc.pre(documents.some((d) => d.trim() !== ""));
        assert.deepEqual(parseDataset(".jsonl", serialise(contentOf(documents))), { form: "TEXT", documents });
      }),
    );
    const digest = (...documents: string[]) => sha256Of(serialise({ form: "TEXT", documents }));
    assert.equal(digest("a", "b"), digest("a", "b"));
    assert.notEqual(digest("a", "b"), digest("ab"));
    assert.notEqual(digest("a", "b"), digest("b", "a"));
  });

  it("is shown to readers with the right answers", () =>
    assert.deepEqual(textsOf({ form: "MULTIPLE_CHOICE", items: [item, twin] }), [
      "Question: why?\nAnswer: Because.",
      "Starbuck gave orders.",
    ]));

  const refusals: Readonly<Record<string, readonly [extension: string, text: string, words: RegExp, line?: number]>> = {
    "a name that says nothing": [".csv", "a", /\.txt, \.json, \.jsonl/],
    nothing: [".jsonl", "\n", /empty/],
    blanks: [".txt", " \n", /empty/],
    "a line that is no JSON": [".jsonl", '"a"\n{"text"\n', /^line 2 is not JSON/, 2],
    "an array that is no JSON": [".json", "[", /^the file is not JSON/],
    "an object": [".json", "{}", /not a JSON array/],
    "a record of no form": [".jsonl", '{"question": "why?"}', /^record 1 is neither/, 1],
    "a number": [".json", '["a", 1]', /^record 2 is neither/, 2],
    "a text that is none": [".jsonl", '{"text": 1}', /^record 1 must have a string "text"/, 1],
    "one choice": [".jsonl", '{"context": "a", "choices": ["b"], "gold": 0}', /^record 1 must have .* 2 to 100 strings/, 1],
    "a blank choice": [".jsonl", '{"context": "a", "choices": ["b", " "], "gold": 0}', /not blank/, 1],
    "no right choice": [".jsonl", '{"context": "a", "choices": ["b", "c"], "gold": 2}', /"gold"/, 1],
    "a right choice by letter": [".jsonl", '{"context": "a", "choices": ["b", "c"], "gold": "A"}', /"gold"/, 1],
    "contexts without continuation": [".jsonl", '{"contexts": ["a", "b"], "gold": 0}', /"continuation"/, 1],
    "a prompt without an answer": [".jsonl", '{"prompt": "a"}', /^record 1 must have a string "prompt", and a string "answer"/, 1],
    "a blank answer": [".jsonl", '{"prompt": "a", "answer": " "}', /not blank/, 1],
    "prompts among choices": [".jsonl", `${JSON.stringify(item)}\n{"prompt": "a", "answer": "b"}`, /^record 2 is not of the form/, 2],
    "choices among prompts": [".jsonl", `{"prompt": "a", "answer": "b"}\n${JSON.stringify(item)}`, /^record 2 is not of the form/, 2],
    "texts among items": [".jsonl", `${JSON.stringify(item)}\n"a"`, /^record 2 is a text/, 2],
  };
  for (const [what, [extension, text, words, line]] of Object.entries(refusals))
    it(`is not ${what}`, () =>
      assert.throws(() => parseDataset(extension, bytes(text)), {
        code: "INVALID_DATASET",
        message: words,
        details: line === undefined ? {} : { line },
      }));

  // What people have brought, each under the name it came by.
  const brought: Readonly<Record<string, readonly [text: string | Uint8Array, found: readonly (string | ChoiceItem)[] | RegExp]>> = {
    "hf_text.jsonl": ['{"text":"a b c"}\n{"text":"d e f"}\n', ["a b c", "d e f"]],
    "crlf.jsonl": ['{"text":"a b c"}\r\n{"text":"d"}\r\n', ["a b c", "d"]],
    "bom.jsonl": ['\uFEFF{"text":"a b c"}\n', ["a b c"]],
    "u2028.jsonl": ['{"text":"a\u2028b"}\n', ["a\u2028b"]],
    "dupkey.jsonl": ['{"text":"a","text":"b"}\n', ["b"]],
    "one.txt": ["word ".repeat(500), ["word ".repeat(500)]],
    "emptyctx.jsonl": ['{"context":"","choices":["b x","c y"],"gold":0}\n', [{ context: "", choices: ["b x", "c y"], gold: 0 }]],
    "trailing.jsonl": [
      '{"context":"The answer is ","choices":["yes","no"],"gold":0}\n',
      [{ context: "The answer is ", choices: ["yes", "no"], gold: 0 }],
    ],
    "alpaca.json": ['[{"instruction":"x","input":"","output":"y"}]', /^record 1 is neither a text/],
    "content.jsonl": ['{"content":"code here"}\n', /^record 1 is neither a text/],
    "hellaswag_raw.jsonl": ['{"ctx":"A man","endings":["runs","sits","flies","eats"],"label":"2"}\n', /^record 1 is neither a text/],
    "openai_chat.jsonl": [
      '{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]}\n',
      /^record 1 is neither a text/,
    ],
    "arc.jsonl": [
      '{"question":"q","choices":{"text":["a","b"],"label":["A","B"]},"answerKey":"B"}\n',
      /^record 1 must have a string "context"/,
    ],
    "choices_one.jsonl": ['{"context":"A","choices":[" b"],"gold":0}\n', /"choices" of 2 to 100 strings/],
    "gold_multi.jsonl": ['{"context":"A","choices":[" b"," c"],"gold":[0,1]}\n', /in "gold" the place of the right one, from 0/],
    "gold_str.jsonl": ['{"context":"A man","choices":["runs","sits"],"gold":"1"}\n', /in "gold" the place of the right one, from 0/],
    "nulltext.jsonl": ['{"text":null}\n{"text":"b"}\n', /^record 1 must have a string "text"/],
    "nan.jsonl": ['{"text":"a","score":NaN}\n', /^line 1 is not JSON/],
    "jsonl_as.json": ['{"text":"a"}\n{"text":"b"}\n', /^the file is not JSON/],
    "obj.json": ['{"data":[{"text":"a"}]}', /^the file is not a JSON array/],
    "empty.txt": ["", /^the texts are empty/],
    "data.csv": ["text\nhello\n", /end in \.txt, \.json, \.jsonl/],
    "data.jsonl.gz": [Uint8Array.of(0x1f, 0x8b), /end in \.txt, \.json, \.jsonl/],
    "data.parquet": ["PAR1xxxx", /end in \.txt, \.json, \.jsonl/],
    "latin1.txt": [Buffer.from("caf\xe9 na\xefve", "latin1"), /^the file is not UTF-8/],
    "utf16.txt": [Buffer.from("\uFEFFhello world", "utf16le"), /^the file is not UTF-8/],
    "utf16_without_mark.txt": [Buffer.from("hello world", "utf16le"), /holds NUL characters/],
  };
  for (const [name, [file, found]] of Object.entries(brought))
    it(`${name} is ${found instanceof RegExp ? "refused with a sentence" : "read"}`, () => {
      const read = () => parseDataset(extname(name), typeof file === "string" ? bytes(file) : file);
      if (found instanceof RegExp) assert.throws(read, { code: "INVALID_DATASET", message: found });
      else assert.deepEqual(read(), contentOf(found));
    });

  it("is not more than the limits, and UTF-8", () => {
    assert.throws(() => contentOf(new Array<string>(maximumRecords + 1).fill("x")), { code: "INVALID_DATASET" });
    assert.throws(() => parseDataset(".txt", Uint8Array.of(0x61, 0xff)), { code: "INVALID_DATASET", message: /UTF-8/ });
  });
});

describe("overlap", () => {
  const words = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `word${from + i}`);
  const text = (from: number, to: number) => words(from, to).join(" ");

  it("is that of passages, whatever their case, punctuation and line breaks", () => {
    const held = [text(0, 1000)];
    assert.deepEqual(overlapOf(held, [text(5000, 9000)]), { ratio: 0, example: null });
    assert.equal(overlapOf(held, held).ratio, 1);
    const other = words(0, 1000)
      .map((w, i) => (i % 7 === 0 ? `${w.toUpperCase()},\n` : w))
      .join(" ");
    assert.equal(overlapOf(held, ["something else", other]).ratio, 1);
    // Of ten passages of a hundred words, the three in the middle.
    const { ratio, example } = overlapOf(held, [text(300, 620)]);
    assert.equal(ratio, 0.3);
    assert.equal(example, text(300, 313));
  });

  it("is not that of a quotation, nor of what everybody says", () => {
    assert.equal(overlapOf([text(0, 1000)], [text(300, 340)]).ratio, 0);
    assert.equal(overlapOf(["Chapter 1. The Whale"], ["Chapter 1. The Whale"]).ratio, 0);
  });

  it("is of a passage of which more than half is known: half alone is not enough", () => {
    // A passage of 100 sequences of 13 words; 62 words have 50 of them, 63 have 51.
    assert.equal(overlapOf([text(0, 112)], [text(0, 62)]).ratio, 0);
    assert.equal(overlapOf([text(0, 112)], [text(0, 63)]).ratio, 1);
    // The passage after it, of one sequence, is one of its own.
    assert.equal(overlapOf([text(0, 113)], [text(0, 63)]).ratio, 0.5);
    assert.equal(overlapOf([text(0, 113)], [text(0, 62), text(100, 113)]).ratio, 0.5);
    // Of a short text, which is one sequence, six words are enough and five say nothing.
    assert.deepEqual([overlapOf([text(0, 6)], [text(0, 6)]).ratio, overlapOf([text(0, 5)], [text(0, 5)]).ratio], [1, 0]);
  });

  it("finds single documents and short items", () => {
    const documents = Array.from({ length: 10 }, (_, i) => text(i * 1000, i * 1000 + 100));
    assert.equal(overlapOf(documents, [documents[3] as string, documents[7] as string]).ratio, 0.2);
    const question = "Which of these is the best conductor of electricity?";
    assert.equal(overlapOf([question], [`${question}\n`]).ratio, 1);
  });
});
