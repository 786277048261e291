import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { finished } from "../../../src/finished.ts";
import { asFolder } from "../../../src/models/gguf/as-folder.ts";
import { folderOfGguf } from "../../../src/models/gguf/folder-of-gguf.ts";
import { chooseFiles } from "../../../src/models/import/choose-files.ts";
import { importModel } from "../../../src/models/import/import-model.ts";
import { findModel } from "../../../src/models/model-folder.ts";
import { runLlamaCpp, withoutLlamaCpp } from "../../support/llama-cpp.ts";
import { scratch } from "../../support/scratch.ts";

const fixtures = fileURLToPath(new URL("../../fixtures/gguf/", import.meta.url));
const parts = [1, 2, 3].map((part) => `tiny-0000${part}-of-00003.gguf`) as [string, string, string];
const { tokens } = JSON.parse(readFileSync(join(fixtures, "tiny.json"), "utf8"));

after(() => rmSync(scratch, { recursive: true, force: true }));

let folders = 0;
/** A folder with the parts that the `gguf` package wrote of tiny.gguf. */
function split(change: (folder: string) => void = () => {}): string {
  const folder = join(scratch, `split-${folders++}`);
  mkdirSync(folder, { recursive: true });
  for (const part of parts) cpSync(join(fixtures, part), join(folder, part));
  change(folder);
  return folder;
}

/** What the files of a model are read into. */
async function read(root: string, path: string): Promise<Record<string, Buffer>> {
  const { place } = await finished(asFolder(await findModel(root, path), join(scratch, `read-${folders++}`)));
  return Object.fromEntries(readdirSync(place.folder).map((name) => [name, readFileSync(join(place.folder, name))]));
}

describe("a GGUF file in parts", () => {
  it("is read as the whole is, by its folder and by each part", async () => {
    const whole = await read(fixtures, "tiny.gguf");
    assert.ok(whole["model.safetensors"]);
    const folder = split();
    for (const path of [".", ...parts]) assert.deepEqual(await read(folder, path), whole, path);
  });

  it("is what llama.cpp loads as the whole", { skip: withoutLlamaCpp }, async () => {
    const [whole, inParts] = await runLlamaCpp(
      ["tiny.gguf", parts[0]].map((name) => ({ path: join(fixtures, name), prompt: tokens, vocabulary: 288, count: 0 })),
    );
    assert.deepEqual(inParts?.logits, whole?.logits);
    assert.ok(inParts?.logits.length);
  });

  it("is refused by the name of a part that is not there", async () => {
    for (const missing of parts) {
      const folder = split((at) => rmSync(join(at, missing)));
      const refusal = {
        code: "INVALID_GGUF",
        details: { file: missing },
        message: new RegExp(`split into 3 files, and ${missing} is not beside`),
      };
      for (const path of [".", ...parts.filter((part) => part !== missing)]) await assert.rejects(findModel(folder, path), refusal);
    }
  });

  it("is refused where a part is another's, or says something else than its name", async () => {
    const rows: [what: string, change: (folder: string) => void, message: RegExp][] = [
      [
        "two parts in each other's place",
        (at) => {
          renameSync(join(at, parts[1]), join(at, "kept"));
          renameSync(join(at, parts[2]), join(at, parts[1]));
          renameSync(join(at, "kept"), join(at, parts[2]));
        },
        /tiny-00002-of-00003\.gguf: it says that it is part 3; by its name it is part 2/,
      ],
      [
        "a whole file in a part's place",
        (at) => cpSync(join(fixtures, "tiny.gguf"), join(at, parts[1])),
        /tiny-00002-of-00003\.gguf: it says that it is one of 1 parts of a model; by its name it is one of 3/,
      ],
      [
        "a number of tensors that is not that of all parts",
        (at) => {
          const bytes = readFileSync(join(at, parts[0]));
          const mark = "split.tensors.count";
          bytes.writeUInt32LE(12, bytes.indexOf(mark) + mark.length + 4);
          writeFileSync(join(at, parts[0]), bytes);
        },
        /tiny-00001-of-00003\.gguf: all parts together hold 11 tensors; 12 were expected/,
      ],
    ];
    for (const [what, change, message] of rows) await assert.rejects(read(split(change), "."), { code: "INVALID_GGUF", message }, what);
    // A part under a name of its own.
    const alone = join(split(), parts[0]);
    const reading = finished(folderOfGguf([{ path: alone, file: "a.gguf" }], join(scratch, "alone")));
    await assert.rejects(reading, {
      code: "INVALID_GGUF",
      message: /a\.gguf: it says that it is one of 3 parts of a model; by its name it is one of 1/,
    });
    const twice = split((at) => cpSync(join(at, parts[1]), join(at, "copy")));
    const files = [parts[0], parts[1], "copy"].map((file) => ({ path: join(twice, file), file }));
    await assert.rejects(finished(folderOfGguf(files, join(scratch, "twice"))), { code: "INVALID_GGUF" });
  });

  it("beside another model is named to be chosen", async () => {
    const folder = split((at) => cpSync(join(fixtures, "tiny.gguf"), join(at, "other.gguf")));
    await assert.rejects(findModel(folder, "."), { code: "MODEL_NOT_FOUND", message: /it holds other\.gguf, tiny-00001-of-00003\.gguf, / });
    assert.deepEqual((await findModel(folder, parts[1])).gguf, parts);
  });

  it("is taken from a repository whole, and each part where one is named", () => {
    assert.deepEqual(chooseFiles("it", ["README.md", ...parts], null), ["README.md", ...parts]);
    const within = parts.map((part) => `Q8_0/${part}`);
    assert.deepEqual(chooseFiles("it", ["model.gguf", ...within], [within[1] as string]), within);
    const refusal = { code: "INVALID_GGUF", message: /split into 3 files, and it has no tiny-00003-of-00003\.gguf/ };
    assert.throws(() => chooseFiles("it", parts.slice(0, 2), null), refusal);
    assert.throws(() => chooseFiles("it", [...parts, "other.gguf"], null), { code: "MODEL_NOT_FOUND" });
  });

  it("is a model once its parts are uploaded", async () => {
    const folder = join(scratch, "sent");
    mkdirSync(folder, { recursive: true });
    for (const [i, part] of parts.entries()) cpSync(join(fixtures, part), join(folder, String(i)));
    const files = parts.map((path, i) => ({ path, sizeBytes: readFileSync(join(folder, String(i))).length, sha256: null }));
    const import_ = (of: typeof files, name: string) =>
      finished(
        importModel(
          { dataDirectory: join(scratch, "data"), source: { kind: "UPLOAD", folder, files: of }, scratch: join(scratch, name) },
          new AbortController().signal,
        ),
      );
    assert.equal((await import_(files, "all")).parameterCount, 49_344);
    await assert.rejects(import_(files.slice(0, 2), "two"), { code: "INVALID_GGUF", message: /tiny-00003-of-00003\.gguf is not beside/ });
  });
});
