import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import { loadChatTemplate } from "../../src/text/chat-template.ts";
import { parseJson, readModelConfig, writeJson } from "../../src/text/model-config.ts";
import { withFolder } from "../support/folders.ts";

const read = async (files: Readonly<Record<string, unknown>>) => {
  let found: unknown;
  await withFolder(files, async (folder) => {
    found = await readModelConfig(folder);
  });
  return found;
};

describe("model configuration", () => {
  it("reads what concerns text from its own part, where there is one", async () => {
    for (const part of ["text_config", "language_config", "llm_config"])
      assert.deepEqual(
        await read({ "config.json": { [part]: { max_position_embeddings: 256, bos_token_id: 3, eos_token_id: 4 }, eos_token_id: [2, 1] } }),
        { contextLength: 256, bosId: 3, eosIds: [2, 1] },
      );
    assert.deepEqual(await read({ "config.json": { text_config: null } }), { contextLength: null, bosId: null, eosIds: [] });
    assert.deepEqual(
      await read({ "config.json": { n_positions: 9, text_config: { n_positions: 8, bos_token_id: 1 }, bos_token_id: null } }),
      { contextLength: 9, bosId: 1, eosIds: [] },
    );
  });

  it("takes no length that is none for the longest text", async () => {
    for (const length of [0, -5, 1.5, 1e30, "9"])
      assert.deepEqual(
        await read({ "config.json": { n_positions: length, n_ctx: 7 } }),
        { contextLength: 7, bosId: null, eosIds: [] },
        `${length}`,
      );
  });

  it("does not wait for a pipe in a file's place", () =>
    withFolder({}, async (folder) => {
      for (const name of ["config.json", "chat_template.jinja"]) execFileSync("mkfifo", [join(folder, name)]);
      assert.deepEqual(await readModelConfig(folder), { contextLength: null, bosId: null, eosIds: [] });
      assert.equal(await loadChatTemplate(folder), null);
    }));

  it("reads infinities as Python writes them, and writes them so again", async () => {
    const text = '{"n_ctx": 7, "limits": [0.0, Infinity, -Infinity], "none": NaN, "says": "NaN and \\"Infinity"}';
    assert.deepEqual(await read({ "config.json": text }), { contextLength: 7, bosId: null, eosIds: [] });
    const value = { n_ctx: 7, limits: [0, Infinity, -Infinity], none: null, says: 'NaN and "Infinity' };
    assert.deepEqual(parseJson(text), value);
    assert.match(writeJson(value), /"limits": \[\s+0,\s+Infinity,\s+-Infinity\s+\]/);
    assert.deepEqual(parseJson(writeJson(value)), value);
  });

  it("refuses what is not JSON", async () => {
    for (const text of ["{", '{"a": Infinite}', '{"a": infinity}', "Infinity", "[]", '{"a": 1, Infinity: 2}'])
      await assert.rejects(read({ "config.json": text }), { code: "INVALID_JSON", details: { file: "config.json" } }, text);
  });
});
