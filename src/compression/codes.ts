import { transposed } from "../algebra/vectors.ts";
import { middleOf, type PackedCodes, unpackedRows } from "../onnx/packed-codes.ts";
import type { Blocks } from "./methods/method.ts";
import type { Scheme } from "./options.ts";

/** Which matrices become codes, by scheme: those within layers, and those before and after them too. */
const coded = {
  INT4: { within: true, outside: true },
  INT8: { within: true, outside: true },
  TERNARY: { within: true, outside: false },
  SPARSE: { within: false, outside: false },
} as const satisfies Record<Scheme, { readonly within: boolean; readonly outside: boolean }>;

export const codedBy = ({ scheme }: { readonly scheme: Scheme }) => coded[scheme];

/** Codes as operators read them. The last block is filled up with zero points. */
export function pack({ bits, blockSize, codes, scales, zeroPoints }: Blocks, inputs: number, outputs: number): PackedCodes {
  const blocks = Math.ceil(inputs / blockSize);
  const perByte = 8 / bits;
  const blockBytes = blockSize / perByte;
  const zeroBytes = Math.ceil(blocks / perByte);
  const packed = new Uint8Array(outputs * blocks * blockBytes);
  const turned = new Float32Array(outputs * blocks);
  const zeros = new Uint8Array(outputs * zeroBytes);
  let isEven = true;
  for (let b = 0; b < blocks; b++) {
    const [zeroByte, zeroShift] = [Math.floor(b / perByte), bits * (b % perByte)];
    const end = Math.min(inputs, (b + 1) * blockSize);
    for (let j = 0; j < outputs; j++) {
      const zero = zeroPoints[b * outputs + j] as number;
      if (zero !== middleOf(bits)) isEven = false;
      turned[j * blocks + b] = scales[b * outputs + j] as number;
      zeros[j * zeroBytes + zeroByte] = (zeros[j * zeroBytes + zeroByte] as number) | (zero << zeroShift);
      let i = b * blockSize;
      let at = i * outputs + j;
      const from = (j * blocks + b) * blockBytes;
      for (let byte = from; byte < from + blockBytes; byte++) {
        let value = 0;
        for (let shift = 0; shift < 8; shift += bits, i++, at += outputs) value |= (i < end ? (codes[at] as number) : zero) << shift;
        packed[byte] = value;
      }
    }
  }
  return { bits, blockSize, inputs, outputs, codes: packed, scales: turned, zeroPoints: isEven ? null : zeros };
}

/** The weights that codes stand for: W' [n, m], inputs as rows. */
export const unpack = (packed: PackedCodes): Float32Array => transposed(unpackedRows(packed), packed.outputs, packed.inputs);

/** Bytes of codes, scales and zero points. */
export const bytesOfPacked = ({ codes, scales, zeroPoints }: PackedCodes): number =>
  codes.byteLength + scales.byteLength + (zeroPoints?.byteLength ?? 0);
