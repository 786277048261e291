import { halfOf, halves } from "./half.ts";

/** Blocks of numbers with a scale, as bytes. */
export interface BlockCode {
  /** How many numbers are in a block, and how many bytes it has. */
  readonly elements: number;
  readonly bytes: number;
  /** Numbers of whole blocks. Rounded to float32 step by step, as the format's programs do. */
  decode(bytes: Uint8Array, out: Float32Array): void;
  /** The bytes of whole blocks; absent where none are written. */
  encode?(values: Float32Array, out: Uint8Array): void;
}

const { fround, trunc } = Math;

/** Two bytes, the lower first. */
export const uint16At = (bytes: Uint8Array, at: number): number => (bytes[at] as number) | ((bytes[at + 1] as number) << 8);

export function setUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff;
  bytes[at + 1] = value >>> 8;
}

/** Chooses the scale and the least value of 32 numbers from a place on. */
export type Choice = (values: Float32Array, from: number) => readonly [scale: number, least: number];

interface Form {
  readonly fifth: boolean;
  readonly least: boolean;
}

/** A scale, perhaps a least value, perhaps fifth bits, and the lower four bits of 32 numbers: of the first and second half in each byte. */
function small({ fifth, least }: Form, choose?: Choice): BlockCode {
  const [atFifth, atLow] = [least ? 4 : 2, (least ? 4 : 2) + (fifth ? 4 : 0)];
  const bytes = atLow + 16;
  const levels = fifth ? 32 : 16;
  const chosen = choose ?? ((values, from) => (least ? rangeOf(values, from, levels) : largestOf(values, from, levels)));
  return {
    elements: 32,
    bytes,
    decode(from, out) {
      const half = halves();
      for (let at = 0, to = 0; at < from.length; at += bytes, to += 32) {
        const scale = half[uint16At(from, at)] as number;
        const low = least ? (half[uint16At(from, at + 2)] as number) : 0;
        for (let i = 0; i < 32; i++) {
          const byte = from[at + atLow + (i & 15)] as number;
          let level = i < 16 ? byte & 15 : byte >> 4;
          if (fifth) level |= (((from[at + atFifth + (i >> 3)] as number) >> (i & 7)) & 1) << 4;
          out[to + i] = least ? fround(scale * level) + low : scale * (level - levels / 2);
        }
      }
    },
    encode(values, out) {
      out.fill(0);
      for (let at = 0, from = 0; at < out.length; at += bytes, from += 32) {
        const [scale, low] = chosen(values, from);
        const inverse = scale === 0 ? 0 : fround(1 / scale);
        setUint16(out, at, halfOf(scale));
        if (least) setUint16(out, at + 2, halfOf(low));
        for (let i = 0; i < 32; i++) {
          const value = values[from + i] as number;
          const steps = least ? fround(fround(value - low) * inverse) : fround(value * inverse);
          const level = Math.min(levels - 1, Math.max(0, trunc(fround(steps + (least ? 0.5 : levels / 2 + 0.5)))));
          out[at + atLow + (i & 15)] = (out[at + atLow + (i & 15)] as number) | ((level & 15) << (i < 16 ? 0 : 4));
          if (fifth) out[at + atFifth + (i >> 3)] = (out[at + atFifth + (i >> 3)] as number) | ((level >> 4) << (i & 7));
        }
      }
    },
  };
}

/** By which the number of the largest size, whatever its sign, becomes the lowest level. */
function largestOf(values: Float32Array, from: number, levels: number): readonly [scale: number, least: number] {
  let largest = 0;
  for (let i = 0; i < 32; i++) if (Math.abs(values[from + i] as number) > Math.abs(largest)) largest = values[from + i] as number;
  return [fround(largest / -(levels / 2)), 0];
}

/** By which the levels go from the least number to the greatest. */
function rangeOf(values: Float32Array, from: number, levels: number): readonly [scale: number, least: number] {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = from; i < from + 32; i++) {
    least = Math.min(least, values[i] as number);
    most = Math.max(most, values[i] as number);
  }
  return [fround(fround(most - least) / (levels - 1)), least];
}

/** A scale, and 32 signed bytes. */
const q8 = (choose: Choice = (values, from) => [fround(largest(values, from) / 127), 0]): BlockCode => ({
  elements: 32,
  bytes: 34,
  decode(from, out) {
    const half = halves();
    for (let at = 0, to = 0; at < from.length; at += 34, to += 32) {
      const scale = half[uint16At(from, at)] as number;
      for (let i = 0; i < 32; i++) out[to + i] = scale * (((from[at + 2 + i] as number) << 24) >> 24);
    }
  },
  encode(values, out) {
    for (let at = 0, from = 0; at < out.length; at += 34, from += 32) {
      const [scale] = choose(values, from);
      const inverse = scale === 0 ? 0 : fround(1 / scale);
      setUint16(out, at, halfOf(scale));
      for (let i = 0; i < 32; i++) {
        const steps = fround((values[from + i] as number) * inverse);
        // Halves away from zero.
        out[at + 2 + i] = trunc(steps + (steps < 0 ? -0.5 : 0.5)) & 0xff;
      }
    }
  },
});

function largest(values: Float32Array, from: number): number {
  let most = 0;
  for (let i = from; i < from + 32; i++) most = Math.max(most, Math.abs(values[i] as number));
  return most;
}

export const blockCodes = {
  Q4_0: small({ fifth: false, least: false }),
  Q4_1: small({ fifth: false, least: true }),
  Q5_0: small({ fifth: true, least: false }),
  Q5_1: small({ fifth: true, least: true }),
  Q8_0: q8(),
} as const satisfies Readonly<Record<string, BlockCode>>;

/** The same forms with scales that are chosen otherwise. */
export const choosing = {
  Q4_0: (choose: Choice) => small({ fifth: false, least: false }, choose),
  Q4_1: (choose: Choice) => small({ fifth: false, least: true }, choose),
  Q8_0: (choose: Choice) => q8(choose),
} as const satisfies Readonly<Record<string, (choose: Choice) => BlockCode>>;
