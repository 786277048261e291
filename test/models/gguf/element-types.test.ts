import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type ElementType, elementTypes } from "../../../src/models/gguf/element-types.ts";
import { seededRandom } from "../../../src/random.ts";

/** What the `gguf` package makes of numbers and bytes (scripts/fixtures/gguf_files.py). */
const path = fileURLToPath(new URL("../../fixtures/gguf/blocks.json", import.meta.url));
const { values, types } = JSON.parse(readFileSync(path, "utf8")) as {
  readonly values: string;
  readonly types: Readonly<Record<string, { readonly bytes: string; readonly decoded: string; readonly of_values: boolean }>>;
};

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text, "base64"));
const floatsOf = (text: string): Float32Array => new Float32Array(bytesOf(text).buffer);
const numbers = floatsOf(values);

const decoded = (type: ElementType, bytes: Uint8Array): Float32Array => {
  const out = new Float32Array((bytes.length / type.bytes) * type.elements);
  type.decode(bytes, out);
  return out;
};

const encoded = (type: ElementType, from: Float32Array): Uint8Array => {
  const out = new Uint8Array((from.length / type.elements) * type.bytes);
  type.encode?.(from, out);
  return out;
};

for (const [name, expected] of Object.entries(types)) {
  const type = elementTypes[name as keyof typeof elementTypes];
  describe(`numbers as ${name}`, () => {
    it("decode to those of the gguf package, bit for bit", () => {
      assert.deepEqual(decoded(type, bytesOf(expected.bytes)), floatsOf(expected.decoded));
    });
    if (expected.of_values)
      it("are written with the bytes of the gguf package", () => {
        assert.deepEqual(encoded(type, numbers), bytesOf(expected.bytes));
      });
  });
}

/** How far numbers are off, as a share of their size: ggml's own quantisers come to about these for numbers that are normally distributed. */
const bounds = { Q4_K: 0.075, Q5_K: 0.038, Q6_K: 0.019 } as const;

for (const [name, bound] of Object.entries(bounds))
  it(`numbers are written as ${name} with an error of at most ${bound} of their size`, () => {
    const seed = 11;
    const random = seededRandom(seed);
    const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const type = elementTypes[name as keyof typeof bounds];
    const own = Float32Array.from({ length: 256 * 64 }, () => 0.02 * normal());
    const back = decoded(type, encoded(type, own));
    const squares = (of: (i: number) => number) => own.reduce((sum, _, i) => sum + of(i) ** 2, 0);
    const error = Math.sqrt(squares((i) => (back[i] as number) - (own[i] as number)) / squares((i) => own[i] as number));
    assert.ok(error < bound && error > bound / 2, `seed ${seed}: ${error}`);
    const none = new Float32Array(256);
    assert.ok(decoded(type, encoded(type, none)).every((v) => Math.abs(v) === 0));
    const alike = new Float32Array(256).fill(-3);
    assert.ok(decoded(type, encoded(type, alike)).every((v) => Math.abs(v + 3) < 0.02));
  });
