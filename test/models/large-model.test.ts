import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { measure } from "../../scripts/benches/large-model/measure.ts";

const folder = mkdtempSync(join(tmpdir(), "espalier-large-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const mega = 2 ** 20;

// The short form of `npm run bench:large`, whose figures for 4 GB are in docs/large-models.md.
describe("a model whose weights lie beside its graph", () => {
  it("takes no more memory to register and to remove layers from when it is seven times as large", (t) => {
    const small = measure(folder, 0);
    const large = measure(folder, 400 * mega);
    assert.ok(large.bytes - small.bytes > 330 * mega, "the models do not differ enough");
    for (const step of ["register", "remove", "registerRest", "cut"] as const) {
      const more = large[step].peakBytes - small[step].peakBytes;
      t.diagnostic(`${step}: ${Math.round(large[step].peakBytes / mega)} MB, ${Math.round(more / mega)} MB more than for the small one`);
      // Its graph takes some 40 MB more. One kind of weight, copied, would be 98 MB on top of that.
      assert.ok(more < 100 * mega, `${step} takes ${Math.round(more / mega)} MB more for ${Math.round(large.bytes / mega)} MB of weights`);
    }
  });
});
