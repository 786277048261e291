import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { discover } from "../../src/structures/discover.ts";
import { remove } from "../../src/structures/remove.ts";
import { fixtures } from "../support/fixtures.ts";
import { readModel, testModels } from "../support/models.ts";

// What is said to go with a structure, without rewriting the graph, is what goes when it is removed.
describe("what goes with a structure", () => {
  const all = [
    ...testModels.map(({ name, folder, skip }) => ({ name, folder, skip, model: () => readModel(folder) })),
    ...fixtures.map(({ name, folder, read }) => ({ name, folder, skip: false, model: () => read().model })),
  ];
  for (const { name, folder, skip, model: open } of all)
    it(`is what its removal takes from ${name}`, { skip }, () => {
      const model = open();
      const { structures, parameters } = discover(model, tensorReader(folder));
      assert.ok(structures.length > 0);
      for (const structure of structures) {
        const left = remove(model, [structure]).graph.initializers;
        assert.deepEqual(
          structure.parameters,
          [...parameters.keys()].filter((p) => !left.has(p)),
          `${structure.kind} ${structure.index}`,
        );
      }
    });
});
