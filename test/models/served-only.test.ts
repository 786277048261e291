import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { materialise } from "../../src/artifacts/model-files.ts";
import { openDecoder } from "../../src/inference/open-decoder.ts";
import { inspect } from "../../src/models/inspect.ts";
import { generates } from "../support/support.ts";

let dataDirectory: string;
before(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "espalier-served-"));
});
after(() => rm(dataDirectory, { recursive: true, force: true }));

/** Parameters as PyTorch counts them. */
const families = [{ name: "lfm2", parameters: 18_992, says: /mixes tokens by convolutions/ }];

describe("a model that serves and is not pruned yet", () => {
  const root = fileURLToPath(new URL("../fixtures/served/", import.meta.url));
  for (const { name, parameters, says } of families)
    it(`is registered with the reason, and writes: ${name}`, async () => {
      const stored = await inspect({ dataDirectory, modelRoot: root, path: name });
      assert.equal(stored.pruningObstacle?.code, "UNSUPPORTED_OPERATORS");
      assert.match(stored.pruningObstacle.message, /can be served but not pruned/);
      assert.match(stored.pruningObstacle.message, says);
      const { layers, hiddenSize, vocabularySize } = stored.architecture;
      assert.deepEqual([stored.structures, stored.parameterCount, layers, hiddenSize, vocabularySize], [[], parameters, 2, 32, 97]);
      const folder = await materialise({ dataDirectory, ...stored });
      await generates(folder, [5, 17, 42, 3], 6);
      const decoder = await openDecoder({ folder, executionProvider: "CPU", threads: 1 });
      await decoder.close();
    });
});
