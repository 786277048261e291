/** Weights [m, n] as codes in the way that `MatMulNBits` and `GatherBlockQuantized` of ONNX Runtime read them: several to a byte, the first lowest. */
export interface PackedCodes {
  readonly bits: 2 | 4 | 8;
  readonly blockSize: number;
  readonly inputs: number;
  readonly outputs: number;
  /** By output: blocks of codes [m, blocks, blockSize bits / 8], of which the last may end with the inputs. */
  readonly codes: Uint8Array;
  /** [m, blocks] */
  readonly scales: Float32Array;
  /** [m, ceil(blocks bits / 8)]; null where all are the middle. */
  readonly zeroPoints: Uint8Array | null;
}

/** The zero point that operators take where none is given: the middle of all codes. */
export const middleOf = (bits: number): number => 2 ** (bits - 1);

/** The weights that codes stand for, `scale (code - zero point)`: W [m, n], outputs as rows. */
export function unpackedRows({ bits, blockSize, inputs, outputs, codes, scales, zeroPoints }: PackedCodes): Float32Array {
  const blocks = Math.ceil(inputs / blockSize);
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const rowBytes = codes.length / outputs;
  const zeroBytes = Math.ceil(blocks / perByte);
  const weights = new Float32Array(outputs * inputs);
  for (let j = 0, at = 0; j < outputs; j++) {
    let byte = j * rowBytes;
    for (let b = 0; b < blocks; b++) {
      const scale = scales[j * blocks + b] as number;
      const zeros = zeroPoints ? (zeroPoints[j * zeroBytes + Math.floor(b / perByte)] as number) : 0;
      const zero = zeroPoints ? (zeros >> (bits * (b % perByte))) & mask : middleOf(bits);
      const end = j * inputs + Math.min(inputs, (b + 1) * blockSize);
      for (let shift = 0; at < end; at++) {
        weights[at] = scale * ((((codes[byte] as number) >> shift) & mask) - zero);
        shift += bits;
        if (shift < 8) continue;
        shift = 0;
        byte++;
      }
    }
  }
  return weights;
}
