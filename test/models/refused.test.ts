import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { inspect } from "../../src/models/inspect.ts";
import { decode } from "../../src/onnx/decode.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { encoderRoot } from "../support/encoders.ts";

let dataDirectory: string;
before(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "espalier-refused-"));
});
after(() => rm(dataDirectory, { recursive: true, force: true }));

describe("an encoder, told by what its tokens see", () => {
  /** RoBERTa, whose inputs are those of a causal language model, in a shape of its own. */
  const changed = async (change: (model: Model) => Model) => {
    const model = decode(await readFile(join(encoderRoot, "roberta_mlm", "model.onnx")));
    await writeFile(join(dataDirectory, "changed.onnx"), encode(change(model)));
    return inspect({ dataDirectory, modelRoot: dataDirectory, path: "changed.onnx" });
  };
  const sized = (batch: number) => (model: Model) => {
    const inputs = model.graph.inputs.map((i) => ({ ...i, shape: [batch, ...(i.shape ?? []).slice(1)] }));
    return { ...model, graph: { ...model.graph, inputs } };
  };

  for (const batch of [1, 4])
    it(`is refused when its batch is fixed at ${batch}`, () =>
      assert.rejects(changed(sized(batch)), { code: "UNSUPPORTED_INPUT", message: /has the fixed shape/ }));

  it("makes vectors where it has no head, and is a classifier of tokens where it tells as many as there are classes", async () => {
    const hidden = await inspect({ dataDirectory, modelRoot: encoderRoot, path: "bert_vectors" });
    assert.equal(hidden.architecture.task, "EMBEDDING");
    const classes = await inspect({ dataDirectory, modelRoot: encoderRoot, path: "bert_tokens" });
    assert.equal(classes.architecture.task, "TOKEN_CLASSIFICATION");
  });
});
