import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Likelihood } from "../../src/evaluation/likelihood.ts";
import { judgeChoices } from "../../src/evaluation/multiple-choice.ts";
import { finished } from "../../src/finished.ts";
import type { ChoiceItem } from "../../src/text/dataset-content.ts";
import { loadTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { ahabFolder } from "../support/ahab.ts";

type Metric = "acc" | "acc_norm" | "acc_bytes";

/** What lm-evaluation-harness said of the bundled model: scripts/fixtures/harness.py. */
type Group = {
  readonly name: string;
  /** Whether the tokenizer puts a token in front of a text. */
  readonly framed: boolean;
  /** What the harness put between a context and a choice. */
  readonly delimiter: string;
  readonly items: readonly ChoiceItem[];
  readonly logLikelihoods: readonly (readonly number[])[];
} & { readonly [M in Metric]?: { readonly value: number; readonly standardError: number } } & {
  readonly [M in `${Metric}ByItem`]?: readonly number[];
};

const groups: readonly Group[] = JSON.parse(readFileSync(new URL("../fixtures/harness.json", import.meta.url), "utf8"));
const names = { acc: "accuracy", acc_norm: "normalizedAccuracy", acc_bytes: "byteNormalizedAccuracy" } as const;

/** An item as a dataset here has it: the joining white space is the choice's. */
const joined = (item: ChoiceItem, delimiter: string): ChoiceItem =>
  "choices" in item
    ? { ...item, choices: item.choices.map((choice) => delimiter + choice) }
    : { ...item, continuation: delimiter + item.continuation };

/** The bundled model's folder with a tokenizer that puts a token in front. */
function framedFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "espalier-framed-"));
  for (const file of ["tokenizer_config.json", "config.json"]) cpSync(join(ahabFolder, file), join(folder, file));
  const start = "<|endoftext|>";
  const template = [{ SpecialToken: { id: start, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }];
  const post_processor = {
    type: "TemplateProcessing",
    single: template,
    pair: [...template, { Sequence: { id: "B", type_id: 0 } }],
    special_tokens: { [start]: { id: start, ids: [0], tokens: [start] } },
  };
  const definition = JSON.parse(readFileSync(join(ahabFolder, "tokenizer.json"), "utf8"));
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify({ ...definition, post_processor }));
  return folder;
}

describe("multiple choice, beside lm-evaluation-harness", () => {
  const framed = framedFolder();
  let model: Likelihood;
  let tokenizers: Record<"true" | "false", Tokenizer>;
  before(async () => {
    model = await Likelihood.open({ folder: ahabFolder, graph: "onnx/model.onnx", executionProvider: "CPU" });
    tokenizers = { true: await loadTokenizer(framed), false: await loadTokenizer(ahabFolder) };
    assert.deepEqual([tokenizers.true.ownStart, tokenizers.false.ownStart], [[0], []]);
  });
  after(async () => {
    rmSync(framed, { recursive: true });
    await model.close();
  });

  const judged = (group: Group, items = group.items) =>
    finished(
      judgeChoices(
        model,
        tokenizers[`${group.framed}`],
        items.map((item) => joined(item, group.delimiter)),
      ),
    );

  for (const group of groups) {
    const what = `${group.name}, joined by "${group.delimiter}"${group.framed ? ", with a token in front" : ""}`;
    it(`${what}: log-likelihoods, accuracies and their standard errors are the harness's`, async () => {
      const result = await judged(group);
      for (const [i, own] of group.logLikelihoods.entries())
        for (const [c, log] of own.entries()) {
          const found = result.logLikelihoods[i]?.[c] ?? Number.NaN;
          assert.ok(Math.abs(found - log) < 1e-3, `choice ${c} of item ${i}: ${found}, not ${log}`);
        }
      for (const [metric, name] of Object.entries(names) as [Metric, (typeof names)[Metric]][]) {
        const { value, standardError } = group[metric] ?? result.accuracy;
        assert.equal(result[name].value, value, metric);
        assert.ok(Math.abs((result[name].standardError as number) - (standardError as number)) < 1e-12, `error of ${metric}`);
      }
    });

    it(`${what}: item by item, the first of equals taken`, async () => {
      for (const [i, item] of group.items.entries()) {
        const result = await judged(group, [item]);
        for (const [metric, name] of Object.entries(names) as [Metric, (typeof names)[Metric]][])
          assert.equal(result[name].value, (group[`${metric}ByItem`] ?? group.accByItem)?.[i], `${metric} of item ${i}`);
        assert.equal(result.accuracy.standardError, null, "one item says nothing of the error");
      }
    });
  }

  it("characters and bytes are told apart by the items, and the joining space is no part of a choice", () => {
    const apart = groups.flatMap(({ acc_normByItem = [], acc_bytesByItem = [] }) =>
      acc_normByItem.map((n, i) => n - (acc_bytesByItem[i] ?? 0)),
    );
    assert.ok(apart.includes(1) && apart.includes(-1));
    // With the space counted too, some item would be answered otherwise.
    const counted = ({ logLikelihoods, items, delimiter }: Group) =>
      items.map((item, i) => {
        const choices = "choices" in item ? item.choices : [];
        const values = choices.map((choice, c) => (logLikelihoods[i]?.[c] as number) / [...(delimiter + choice)].length);
        return values.indexOf(Math.max(...values)) === item.gold ? 1 : 0;
      });
    assert.ok(groups.some((group) => group.acc_normByItem && counted(group).some((right, i) => right !== group.acc_normByItem?.[i])));
  });

  it("a choice that its context runs together with, which the harness refuses, is encoded by itself", async () => {
    const tokenizer = tokenizers.false;
    const [ship, s] = [tokenizer.encode("The ship"), tokenizer.encode("s")];
    assert.equal(tokenizer.encode("The ships").length, ship.length, "one token");
    const [found] = await model.judge([{ ids: [...ship, ...s].slice(0, -1), targets: s }]);
    const result = await finished(judgeChoices(model, tokenizer, [{ context: "The ship", choices: ["s", " sailed"], gold: 0 }]));
    const expected = found?.logProbabilities.reduce((a, b) => a + b, 0) as number;
    assert.ok(Math.abs((result.logLikelihoods[0]?.[0] as number) - expected) < 1e-5);
  });

  it("an empty context of a model that has no token for it is refused, by its number", async () => {
    const bare = { ...tokenizers.false, emptyId: null };
    const items = [
      { context: "The ship", choices: [" sailed", " sank"], gold: 0 },
      { context: " ", choices: ["A", "The"], gold: 0 },
    ];
    await assert.rejects(finished(judgeChoices(model, bare, items)), {
      code: "INVALID_DATASET",
      message: /item 1 has an empty context/,
      details: { item: 1 },
    });
  });
});
