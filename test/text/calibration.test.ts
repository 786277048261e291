import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { calibrationSamples, views } from "../../src/text/calibration.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { perturbationKinds } from "../../src/text/perturb.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { nextTokens } from "../../src/text/view.ts";
import { testModels } from "../support/models.ts";

const tokenizer = await loadTokenizer((testModels[0] as (typeof testModels)[0]).folder);
const { documents } = await loadDataset({ name: "literature-train" });
const options = { samples: 64, sequenceLength: 128, seed: 5 };
const perturbation = { kind: "REAL_WORD", rate: 0.3, regenerate: true } as const;

describe("calibration samples", () => {
  const texts = calibrationSamples(tokenizer, documents, options);

  it("are whole words of the documents, of about the length asked for", () => {
    assert.equal(texts.length, 64);
    const all = documents.join("\n");
    for (const text of texts) {
      const at = all.indexOf(text);
      assert.ok(at >= 0);
      assert.match(all.slice(at - 1, at + 1), /^$|^\s|^.\s/su, "begins with a word");
      assert.match(`${all[at + text.length] ?? " "}`, /\s/u, "ends with a word");
    }
    const lengths = texts.map((text) => tokenizer.encode(text).length);
    const mean = lengths.reduce((a, b) => a + b) / lengths.length;
    assert.ok(mean > 120 && mean < 140, `mean ${mean}`);
    assert.ok(Math.min(...lengths) > 90, `shortest ${Math.min(...lengths)}`);
  });

  it("come from all over the documents", () => {
    const all = documents.join("\n");
    const places = texts.map((text) => all.indexOf(text) / all.length).sort((a, b) => a - b);
    // Kolmogorov-Smirnov against the uniform distribution: 64 draws stray further than this once in 100,000 seeds.
    const furthest = Math.max(...places.map((place, i) => Math.max(Math.abs(place - i / 64), Math.abs(place - (i + 1) / 64))));
    assert.ok(furthest < 2.47 / Math.sqrt(64), `${furthest}`);
  });

  it("depend on the seed alone, and asking for more keeps those there were", () => {
    assert.deepEqual(calibrationSamples(tokenizer, documents, { ...options, samples: 5 }), texts.slice(0, 5));
    assert.notDeepEqual(calibrationSamples(tokenizer, documents, { ...options, samples: 5, seed: 6 }), texts.slice(0, 5));
  });

  it("are the documents themselves where those are short, and never the empty ones", () => {
    const short = ["Call me Ishmael.", "", "  \n", "The whale!"];
    const drawn = new Set(calibrationSamples(tokenizer, short, { ...options, samples: 40 }));
    assert.deepEqual([...drawn].sort(), ["Call me Ishmael.", "The whale!"]);
  });

  it("have a token to predict: shorter texts are passed over, and refused where there is nothing else", () => {
    const bare = { ...tokenizer, documentStart: [] };
    const token = "the";
    assert.equal(bare.encode(token).length, 1);
    const drawn = calibrationSamples(bare, [token, token, "Call me Ishmael."], { ...options, samples: 40 });
    assert.deepEqual([...new Set(drawn)], ["Call me Ishmael."]);
    assert.throws(() => calibrationSamples(bare, [token], options), { code: "INVALID_DATASET", message: /too short/ });
    assert.equal(calibrationSamples(tokenizer, [token], options)[0], token, "after a document's start it can be predicted");
  });

  it("keep characters whole in texts without spaces", () => {
    const drawn = calibrationSamples(tokenizer, ["🐳".repeat(3000)], options);
    assert.ok(drawn.every((text) => !/\p{Cs}/u.test(text) && text.length > 0));
  });
});

describe("views", () => {
  const [text] = calibrationSamples(tokenizer, documents, { ...options, samples: 1 }) as [string];

  it("begin as documents do and have at most the tokens asked for", () => {
    for (const kind of perturbationKinds)
      for (const sequenceLength of [8, 64, 512]) {
        const both = views(tokenizer, text, { seed: 1, sequenceLength, perturbation: { ...perturbation, kind } }, 0, 0);
        assert.deepEqual(both.unperturbed, nextTokens(tokenizer.encodeDocument(text).slice(0, sequenceLength)));
        assert.ok(both.perturbed.ids.length < sequenceLength && both.perturbed.ids.length > 0);
        assert.equal(both.perturbed.ids[0], 0);
        if (sequenceLength === 512) assert.notDeepEqual(both.perturbed, both.unperturbed);
      }
  });

  it("are drawn anew by sample, and by iteration where that is asked for", () => {
    const of = (sample: number, iteration: number, regenerate: boolean) =>
      views(tokenizer, text, { seed: 1, sequenceLength: 256, perturbation: { ...perturbation, regenerate } }, sample, iteration).perturbed;
    assert.deepEqual(of(0, 3, true), of(0, 3, true));
    assert.notDeepEqual(of(0, 3, true), of(0, 4, true));
    assert.deepEqual(of(0, 3, false), of(0, 4, false));
    assert.notDeepEqual(of(0, 3, false), of(1, 3, false));
    assert.deepEqual(of(0, 0, true), of(0, 0, false));
  });
});
