import { type BlockCode, blockCodes } from "./blocks.ts";
import { bfloatOfBits, halfOfBits, halves } from "./half.ts";
import { kBlockCodes } from "./k-blocks.ts";

/** How a GGUF file or a `.safetensors` file keeps numbers. */
export interface ElementType extends BlockCode {
  readonly name: TypeName;
  /** By which a GGUF file names it. */
  readonly id: number;
}

const float32s = (bytes: Uint8Array): Float32Array =>
  bytes.byteOffset % 4 === 0
    ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
    : new Float32Array(bytes.slice().buffer, 0, bytes.byteLength / 4);

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

const uint16s = (bytes: Uint8Array): Uint16Array =>
  bytes.byteOffset % 2 === 0
    ? new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2)
    : new Uint16Array(bytes.slice().buffer, 0, bytes.byteLength / 2);

const asBytes = (bits: Uint16Array): Uint8Array => new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);

const float16: BlockCode = {
  elements: 1,
  bytes: 2,
  decode(bytes, out) {
    const [bits, table] = [uint16s(bytes), halves()];
    for (let i = 0; i < out.length; i++) out[i] = table[bits[i] as number] as number;
  },
  encode(values, out) {
    const [bits, halved] = [bitsOf(values), new Uint16Array(values.length)];
    for (let i = 0; i < bits.length; i++) halved[i] = halfOfBits(bits[i] as number);
    out.set(asBytes(halved));
  },
};

const bfloat16: BlockCode = {
  elements: 1,
  bytes: 2,
  decode(bytes, out) {
    const [upper, bits] = [uint16s(bytes), bitsOf(out)];
    for (let i = 0; i < bits.length; i++) bits[i] = (upper[i] as number) << 16;
  },
  encode(values, out) {
    const [bits, upper] = [bitsOf(values), new Uint16Array(values.length)];
    for (let i = 0; i < bits.length; i++) upper[i] = bfloatOfBits(bits[i] as number);
    out.set(asBytes(upper));
  },
};

const codes = {
  F32: {
    elements: 1,
    bytes: 4,
    decode: (bytes, out) => out.set(float32s(bytes)),
    encode: (values, out) => out.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
  },
  F16: float16,
  BF16: bfloat16,
  ...blockCodes,
  ...kBlockCodes,
} as const satisfies Readonly<Record<string, BlockCode>>;

export type TypeName = keyof typeof codes;

/** The numbers by which GGUF files name the types that are read. Source: ggml's description of the format. */
const ids = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q5_0: 6,
  Q5_1: 7,
  Q8_0: 8,
  Q4_K: 12,
  Q5_K: 13,
  Q6_K: 14,
  BF16: 30,
} as const satisfies Record<TypeName, number>;

export const elementTypes = Object.fromEntries(
  Object.entries(codes).map(([name, code]) => [name, { ...code, name, id: ids[name as TypeName] }]),
) as Readonly<Record<TypeName, ElementType>>;

/** What other types are called, for messages. */
const others: Readonly<Record<number, string>> = {
  9: "Q8_1",
  10: "Q2_K",
  11: "Q3_K",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  20: "IQ4_NL",
  21: "IQ3_S",
  22: "IQ2_S",
  23: "IQ4_XS",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  29: "IQ1_M",
  34: "TQ1_0",
  35: "TQ2_0",
  39: "MXFP4",
};

export const typeById = (id: number): ElementType | undefined => Object.values(elementTypes).find((type) => type.id === id);

export const nameOfType = (id: number): string => typeById(id)?.name ?? others[id] ?? `number ${id}`;

/** How many bytes so many elements have. */
export const bytesOfElements = ({ elements, bytes }: BlockCode, count: number): number => (count / elements) * bytes;
