import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { inspect } from "../../src/models/inspect.ts";
import { decode } from "../../src/onnx/decode.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model } from "../../src/onnx/ir.ts";

const root = fileURLToPath(new URL("../fixtures/refused/", import.meta.url));
let dataDirectory: string;
before(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "espalier-refused-"));
});
after(() => rm(dataDirectory, { recursive: true, force: true }));

/** Registers a model, which must be refused with these words and leave nothing behind. */
async function refused(modelRoot: string, path: string, code: string, says: RegExp): Promise<void> {
  await assert.rejects(inspect({ dataDirectory, modelRoot, path }), (error: { code?: string; message: string }) => {
    assert.equal(error.code, code, error.message);
    assert.match(error.message, says);
    return true;
  });
  assert.ok(!existsSync(join(dataDirectory, "artifacts")));
}

describe("an encoder, told by what its tokens see", () => {
  for (const family of ["bert", "roberta", "deberta_v2"])
    it(`is refused as no causal language model: ${family}`, () => refused(root, family, "NOT_CAUSAL", /is an encoder/));

  /** RoBERTa, whose inputs are those of a causal language model, in a shape of its own. */
  const changed = async (change: (model: Model) => Model): Promise<string> => {
    const model = decode(await readFile(join(root, "roberta", "model.onnx")));
    await writeFile(join(dataDirectory, "changed.onnx"), encode(change(model)));
    return "changed.onnx";
  };
  const sized = (batch: number) => (model: Model) => {
    const inputs = model.graph.inputs.map((i) => ({ ...i, shape: [batch, ...(i.shape ?? []).slice(1)] }));
    return { ...model, graph: { ...model.graph, inputs } };
  };

  for (const batch of [1, 2, 4])
    it(`is told when its batch is fixed at ${batch}`, async () =>
      refused(dataDirectory, await changed(sized(batch)), "NOT_CAUSAL", /is an encoder/));

  it("is told without a head, of which it would else be said that it lacks one", async () => {
    const hidden = ({ graph, ...rest }: Model) => ({
      ...rest,
      graph: {
        ...graph,
        outputs: graph.outputs.map((o) => ({ ...o, name: "last_hidden_state" })),
        nodes: graph.nodes.map((n) => ({ ...n, outputs: n.outputs.map((o) => (o === "logits" ? "last_hidden_state" : o)) })),
      },
    });
    await refused(dataDirectory, await changed(hidden), "NOT_CAUSAL", /is an encoder/);
  });
});
