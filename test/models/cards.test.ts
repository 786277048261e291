import assert from "node:assert/strict";
import { test } from "node:test";
import { cardOf } from "../../src/models/cards/card.ts";
import type { CardFacts, Generation } from "../../src/models/cards/facts.ts";
import { carriedOver } from "../../src/models/cards/licence.ts";
import { leftOf, removedPicture } from "../../src/models/cards/removed-picture.ts";
import { runPython, withoutPackages } from "../support/python.ts";

const digest = (digit: string) => digit.repeat(64);
const dataset = { name: "held: out\n# [x](javascript:1)", digest: digest("d"), form: "TEXT" };

/** A layer and heads went; its name and its dataset's mean to be something else. */
const facts: CardFacts = {
  version: "1.2.3",
  line: [
    { name: "base", digest: digest("a"), repository: "espalier/base-aaaaaaaaaa", parameterCount: 1000, sizeBytes: 4000, making: null },
    {
      name: 'yes: |\n---\n<img src=x onerror="1">',
      digest: digest("b"),
      repository: "espalier/child-bbbbbbbbbb",
      parameterCount: 600,
      sizeBytes: 2400,
      making: {
        kind: "PRUNING",
        method: "PIP",
        options: { seed: 7, targetRatio: 0.4 },
        dataset: { name: "train", digest: digest("c") },
        groups: [
          { kind: "LAYER", layer: 0, count: 1, removed: 0 },
          { kind: "LAYER", layer: 1, count: 1, removed: 1 },
          { kind: "HEAD", layer: 0, count: 4, removed: 1 },
          { kind: "HEAD", layer: 1, count: 4, removed: 0 },
          { kind: "MLP", layer: 0, count: 1, removed: 1 },
          { kind: "MLP", layer: 1, count: 1, removed: 0 },
        ],
      },
    },
  ],
  evaluations: [
    {
      dataset,
      settings: { sequenceLength: 64, stride: 64 },
      result: { perplexity: 12.3456789, nextTokenAccuracy: 0.25, accuracy: null },
      parent: { perplexity: 10 },
    },
  ],
  firstCard: null,
};
const format = {
  name: "SAFETENSORS",
  library: "transformers",
  tags: ["safetensors"],
  options: { padding: false, weights: "AS_IS" },
  notes: [],
};
const licence = carriedOver('---\nlicense: "apache-2.0"\nlanguage:\n  - en\n  - "no"\nlicense_link: [a, b]\n---\n# base\nlicense: mit\n');

test("a licence and languages are carried over, what is not plain is not", () => {
  assert.deepEqual(licence, { license: "apache-2.0", language: ["en", "no"] });
  assert.deepEqual(carriedOver("# no front matter\nlicense: mit"), {});
});

test("the picture shows what is left of each layer, and nothing of what people write", () => {
  assert.deepEqual(leftOf(facts.line[1]?.making?.groups ?? []), [
    { attention: 0.75, mlp: 0 },
    { attention: 0, mlp: 0 },
  ]);
  const picture = removedPicture(facts.line) as string;
  assert.equal(picture, removedPicture(facts.line));
  // Four bars in grey, one of which is filled, by three quarters of 41 pixels.
  assert.equal(picture.match(/<rect/g)?.length, 5);
  assert.match(picture, /height="31" fill="#3b6ea8"/);
  assert.equal(removedPicture(facts.line.slice(0, 1)), null);
});

test("what is compressed is called so, and quantised where weights are codes", () => {
  const [base, child] = facts.line as [Generation, Generation];
  const made = (kind: string, scheme: string): Generation => ({
    ...child,
    making: { kind, method: "A", options: { scheme }, dataset: null, groups: [] },
  });
  const saysOf = (...made: readonly Generation[]) => {
    const card = cardOf({ ...facts, line: [base, ...made] }, format, licence, false);
    return [/- "?pruned/.test(card), /- "?compressed/.test(card), /base_model_relation: "?(\w+)/.exec(card)?.[1]];
  };
  assert.deepEqual(saysOf(child), [true, false, "finetune"]);
  assert.deepEqual(saysOf(made("COMPRESSION", "INT4")), [false, true, "quantized"]);
  assert.deepEqual(saysOf(made("COMPRESSION", "SPARSE")), [false, true, "finetune"]);
  assert.deepEqual(saysOf(child, made("COMPRESSION", "INT4")), [true, true, "quantized"]);
});

test("a card is the same for the same facts, and says them", () => {
  const card = cardOf(facts, format, licence, true);
  assert.equal(card, cardOf(structuredClone(facts), format, licence, true));
  const body = card.slice(card.indexOf("\n---\n", 4));
  assert.doesNotMatch(body, /(?<!\\)<img|(?<!\\)\]\(javascript/);
  for (const said of [
    /600 parameters, 60\.0% of the 1,000 of base/,
    /!\[What is left of each layer\]\(removed\.svg\)/,
    /\| HEAD \| 1 of 8 \|/,
    /\| LAYER \| 1 of 2 \|/,
    /\| perplexity \| 12\.3457 \| 10 \| `\{ "sequenceLength": 64, "stride": 64 \}` \|/,
    /next\\-token accuracy|next-token accuracy \| 0\.25 \| not measured/,
    /"seed": 7/,
    /Espalier 1\.2\.3/,
    new RegExp(digest("a")),
  ])
    assert.match(card, said);
});

test("the Hub's client reads a card as it was meant", { skip: withoutPackages("huggingface_hub") }, async () => {
  const [found] = await runPython("load_card.py", [cardOf(facts, format, licence, true)]);
  assert.deepEqual(found.data, {
    license: "apache-2.0",
    language: ["en", "no"],
    library_name: "transformers",
    pipeline_tag: "text-generation",
    tags: ["safetensors", "pruned", "espalier"],
    base_model: "espalier/base-aaaaaaaaaa",
    base_model_relation: "finetune",
    datasets: ["train"],
  });
  assert.deepEqual(found.results, [
    ["perplexity", "perplexity", 12.3457, dataset.name],
    ["accuracy", "next-token accuracy", 0.25, dataset.name],
  ]);
});
