import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { finished } from "../../src/finished.ts";
import { openEncoder } from "../../src/inference/open-encoder.ts";
import type { ModelTask } from "../../src/model-task.ts";
import { decode } from "../../src/onnx/decode.ts";
import { canonical } from "../../src/onnx/passes/canonical.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import type { Judge, Scene } from "../../src/pruning/evidence/evidence.ts";
import { scored } from "../../src/pruning/evidence/gatherers.ts";
import { openMasked } from "../../src/pruning/evidence/masked-model.ts";
import { methodNamed } from "../../src/pruning/methods/index.ts";
import { openGroups } from "../../src/pruning/open-groups.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { seededRandom } from "../../src/random.ts";
import { discover } from "../../src/structures/discover.ts";
import { divide, removeStructures } from "../../src/structures/divide.ts";
import type { StructureKind } from "../../src/structures/structure.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import type { View } from "../../src/text/view.ts";
import { type ExpectedEncoder, encoderFixtures } from "../support/encoders.ts";

const scratch = mkdtempSync(join(tmpdir(), "espalier-encoders-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const read = tensorReader(".");

const judges: Readonly<Partial<Record<ModelTask, Judge>>> = {
  MASKED_LM: { places: "TOKENS", loss: "CROSS_ENTROPY", pooling: null },
  CLASSIFICATION: { places: "TEXT", loss: "CROSS_ENTROPY", pooling: null },
};

async function sceneOf({ folder, expected }: { readonly folder: string; readonly expected: ExpectedEncoder }) {
  const { model } = canonical(decode(readFileSync(join(folder, "model.onnx"))));
  const found = discover(model, read);
  const whole = { ...found, divided: await divide(model, found.anatomy, found.parameters) };
  const scene: Scene = {
    ...{ model, folder: ".", scratch, read, whole, executionProvider: "CPU", toRemove: 5000, gradientBy: "WEIGHTS" },
    samples: (expected.samples ?? []).map(([unperturbed, perturbed]) => ({ unperturbed, perturbed })),
    sequenceLength: 10,
    judge: judges[expected.task] ?? null,
    random: (stream) => seededRandom(3, stream),
  };
  return { model, whole, scene };
}

const close = (a: number, b: number, what: string) =>
  assert.ok(Math.abs(a - b) <= 1e-5 + 1e-4 * Math.abs(b), `${what}: ${a}, PyTorch says ${b}`);

for (const fixture of encoderFixtures) {
  const { name, folder, expected } = fixture;
  describe(`an encoder: ${name}`, () => {
    it("has the tokens and types that Hugging Face's tokenizers give texts and pairs", async () => {
      const tokenizer = await loadTokenizer(folder);
      const texts = [...expected.texts.map((text) => [text]), ...expected.pairs];
      const found = texts.map((own) =>
        tokenizer.frame(
          own.map((text) => tokenizer.encode(text)),
          1000,
        ),
      );
      assert.deepEqual(
        found.map(({ ids, types }) => [ids, types]),
        expected.encoded,
      );
    });

    it("answers in a batch, padded, as PyTorch does", async () => {
      const { encoder } = await openEncoder({ folder, executionProvider: "CPU" });
      try {
        const answers = await encoder.readAll(expected.rows.map((ids) => ({ ids, types: ids.map(() => 0) })));
        for (const [i, { rows }] of answers.entries()) {
          const right = [expected.answers[i] ?? []].flat(2);
          for (const [k, value] of rows.flatMap((row) => [...row]).entries()) close(value, right[k] as number, `row ${i}, number ${k}`);
        }
      } finally {
        await encoder.close();
      }
    });

    if (judges[expected.task] && name !== "albert_mlm")
      it("loses by structures that are cut what it loses by those that are masked", async () => {
        const { model, whole, scene } = await sceneOf(fixture);
        // DeBERTa's graph counts its heads by a constant.
        const cut: StructureKind[] = name === "deberta_v2_mlm" ? ["ATTENTION", "MLP", "CHANNEL"] : ["ATTENTION", "MLP", "HEAD", "CHANNEL"];
        const texts = expected.rows.map((ids): View => ({ ids, targets: expected.task === "MASKED_LM" ? ids : [1] }));
        const groups = openGroups(whole, [], model, { ...defaultPruningOptions, structureKinds: cut });
        const all = groups.flatMap(({ kind, layer, indexes }) => indexes.map((index) => ({ kind, layer, index })));
        const last = Math.max(...all.map(({ layer }) => layer));
        // Of the first layer heads and channels, of the last a branch.
        for (const branch of ["ATTENTION", "MLP"]) {
          const gone = all.filter(({ kind, layer, index }) =>
            layer === last ? kind === branch : kind === "HEAD" ? index === 1 : kind === "CHANNEL" && index % 5 === 2,
          );
          const lossOf = async (own: Scene, mask: readonly number[] | null) => {
            const masked = await openMasked(own, mask ? groups : [], texts.length);
            try {
              return await masked.losses(
                texts,
                texts.map(() => mask ?? []),
              );
            } finally {
              await masked.close();
            }
          };
          const byMask = await lossOf(
            scene,
            all.map((id) => (gone.includes(id) ? 0 : 1)),
          );
          const byCut = await lossOf({ ...scene, model: await removeStructures(model, gone, read, whole) }, null);
          const plain = await lossOf(scene, null);
          for (const [i, loss] of byCut.entries()) {
            close(loss, byMask[i] as number, `without ${branch}, text ${i}`);
            assert.ok(Math.abs(loss - (plain[i] as number)) > 1e-3);
          }
        }
      });

    if (expected.scores && judges[expected.task])
      it("has scores by PIP as PyTorch's gradients give them", async () => {
        const { scores } = expected;
        assert.ok(scores);
        const { model, whole, scene } = await sceneOf(fixture);
        const groups = openGroups(whole, [], model, { ...defaultPruningOptions, structureKinds: ["LAYER", "HEAD", "CHANNEL"] });
        const { groups: found, loss } = await finished(scored(methodNamed("PIP"), scene, groups));
        const mean = (squares: readonly number[]) => squares.reduce((sum, s) => sum + Math.sqrt(s), 0) / squares.length;
        close(loss ?? Number.NaN, scores.losses.reduce((sum, [own = 0]) => sum + own, 0) / scores.losses.length, "loss");
        for (const { kind, layer, scores: own } of found)
          for (const [i, score] of own.entries()) {
            const squares = scores.layers.map((layers, s) => {
              // Norms after a sum stay.
              if (kind === "LAYER") return layers[layer] as number;
              return scores[kind === "HEAD" ? "heads" : "channels"][s]?.[layer]?.[i] as number;
            });
            close(score, mean(squares), `${kind} ${i} of layer ${layer}`);
          }
      });
  });
}
