import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { sizeOf } from "../../src/onnx/ir.ts";

/** A tiny model of a family, as transformers describes and computes it (scripts/fixtures/blueprints.py). */
export interface Variant {
  readonly config: Readonly<Record<string, unknown>>;
  /** Name to shape. */
  readonly tensors: Readonly<Record<string, readonly number[]>>;
  /** Of the row of tokens [T, V]. */
  readonly logits: Float32Array;
  /** What follows the prompt by greedy choice. */
  readonly text: readonly number[];
  readonly tokens: readonly number[];
  readonly prompt: readonly number[];
}

const root = fileURLToPath(new URL("../fixtures/blueprints/", import.meta.url));

/** By family and variant. */
export const variants: ReadonlyMap<string, ReadonlyMap<string, Variant>> = new Map(
  readdirSync(root)
    .sort()
    .map((file) => {
      const { tokens, prompt, variants: rows } = JSON.parse(readFileSync(join(root, file), "utf8"));
      const read = ([name, { logits, ...row }]: [string, Record<string, never>]) => {
        const bytes = Buffer.from(logits as unknown as string, "base64");
        return [name, { ...row, tokens, prompt: tokens.slice(0, prompt), logits: new Float32Array(new Uint8Array(bytes).buffer) }] as const;
      };
      return [basename(file, ".json"), new Map(Object.entries(rows as Record<string, Record<string, never>>).map(read))];
    }),
) as never;

export const variantOf = (family: string, name = "base"): Variant => {
  const found = variants.get(family)?.get(name);
  if (!found) throw new Error(`no variant ${name} of ${family}`);
  return found;
};

const vocabulary = 97;

/** float32 made of a tensor's name and its elements' places, by FNV-1a and murmur3's last step; as blueprints.py makes it. */
export function weight(name: string, shape: readonly number[]): Float32Array {
  const seed = [...Buffer.from(name)].reduce((h, byte) => Math.imul(h ^ byte, 16777619), 2166136261 | 0);
  const even = (i: number): number => {
    let x = (Math.imul(i, 2654435761 | 0) + seed) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b | 0);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35 | 0);
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32 - 0.5;
  };
  const isNorm = shape.length === 1 || name.includes("norm");
  const scale = shape[0] === vocabulary ? 1.75 : 3.5 / (shape.at(-1) as number) ** 0.5;
  const value = (i: number) => (isNorm ? (name.endsWith("bias") ? 0.2 * even(i) : 1 + 0.4 * even(i)) : even(i) * scale);
  return Float32Array.from({ length: sizeOf(shape) }, (_, i) => value(i));
}

export type Stored = { readonly dtype: string; readonly shape: readonly number[]; readonly bytes: Uint8Array };

/**
 * The bytes of a `.safetensors` file: the length of its header, the header, the tensors one after another.
 *
 * @param skew how many bytes past a multiple of 8 they begin, as no writer that is known leaves them
 */
export function safetensors(tensors: Readonly<Record<string, Stored>>, skew = 0): Buffer {
  let at = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    const from = at;
    at += bytes.length;
    return [name, { dtype, shape, data_offsets: [from, at] }];
  });
  const text = JSON.stringify(Object.fromEntries([["__metadata__", { format: "pt" }], ...entries]));
  const header = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8 + skew));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, ...Object.values(tensors).map((t) => t.bytes)]);
}

export const storedWeight = (name: string, shape: readonly number[]): Stored => ({
  dtype: "F32",
  shape,
  bytes: new Uint8Array(weight(name, shape).buffer),
});

/** Writes a variant as a folder that holds config.json and model.safetensors. */
export function writeFolder(
  folder: string,
  { config, tensors }: Pick<Variant, "config" | "tensors">,
  stored: (name: string, shape: readonly number[]) => Stored = storedWeight,
  skew = 0,
): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const all = Object.entries(tensors).map(([name, shape]) => [name, stored(name, shape)] as const);
  writeFileSync(join(folder, "model.safetensors"), safetensors(Object.fromEntries(all), skew));
  return folder;
}
