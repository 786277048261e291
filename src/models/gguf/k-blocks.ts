import { largest } from "../../large-lists.ts";
import { type BlockCode, setUint16, uint16At } from "./blocks.ts";
import { halfOf, halves } from "./half.ts";

const { fround } = Math;
/** Blocks of 256 numbers in parts, each with a scale of few bits. */
const width = 256;

/**
 * The scale and the least value of part j of 8, of 6 bits each, packed into 12 bytes: the lower four parts have bytes of their own, whose
 * upper bits the others borrow.
 */
function scaleAt(bytes: Uint8Array, at: number, j: number): readonly [scale: number, least: number] {
  const byte = (i: number) => bytes[at + i] as number;
  if (j < 4) return [byte(j) & 63, byte(j + 4) & 63];
  return [(byte(j + 4) & 15) | ((byte(j - 4) >> 6) << 4), (byte(j + 4) >> 4) | ((byte(j) >> 6) << 4)];
}

function setScale(bytes: Uint8Array, at: number, j: number, scale: number, least: number): void {
  const add = (i: number, bits: number) => {
    bytes[at + i] = (bytes[at + i] as number) | bits;
  };
  if (j < 4) {
    add(j, scale);
    add(j + 4, least);
    return;
  }
  add(j + 4, (scale & 15) | ((least & 15) << 4));
  add(j - 4, (scale >> 4) << 6);
  add(j, (least >> 4) << 6);
}

/** Eight parts of 32 numbers `d s q - m l`, of four bits or five. */
function affine(fifth: boolean): BlockCode {
  const atLow = 16 + (fifth ? 32 : 0);
  const bytes = atLow + 128;
  const levels = fifth ? 32 : 16;
  return {
    elements: width,
    bytes,
    decode(from, out) {
      const half = halves();
      for (let at = 0, to = 0; at < from.length; at += bytes, to += width) {
        const [scales, leasts] = [half[uint16At(from, at)] as number, half[uint16At(from, at + 2)] as number];
        for (let j = 0; j < 8; j++) {
          const [s, m] = scaleAt(from, at + 4, j);
          const [scale, least] = [fround(scales * s), fround(leasts * m)];
          for (let i = 0; i < 32; i++) {
            const byte = from[at + atLow + (j >> 1) * 32 + i] as number;
            let level = j & 1 ? byte >> 4 : byte & 15;
            if (fifth) level |= (((from[at + 16 + i] as number) >> j) & 1) << 4;
            out[to + j * 32 + i] = fround(scale * level) - least;
          }
        }
      }
    },
    encode(values, out) {
      out.fill(0);
      const half = halves();
      for (let at = 0, from = 0; at < out.length; at += bytes, from += width) {
        const parts = Array.from({ length: 8 }, (_, j) => fitted(values.subarray(from + j * 32, from + j * 32 + 32), levels));
        const bits = (of: number) => halfOf(of / 63);
        const [scaleBits, leastBits] = [bits(largest(parts.map((p) => p.scale))), bits(largest(parts.map((p) => p.least)))];
        setUint16(out, at, scaleBits);
        setUint16(out, at + 2, leastBits);
        const [scales, leasts] = [half[scaleBits] as number, half[leastBits] as number];
        for (const [j, part] of parts.entries()) {
          const [s, m] = [sixBits(part.scale, scales), sixBits(part.least, leasts)];
          setScale(out, at + 4, j, s, m);
          const [scale, least] = [scales * s, leasts * m];
          for (let i = 0; i < 32; i++) {
            const steps = scale === 0 ? 0 : ((values[from + j * 32 + i] as number) + least) / scale;
            const level = Math.min(levels - 1, Math.max(0, Math.round(steps)));
            const low = at + atLow + (j >> 1) * 32 + i;
            out[low] = (out[low] as number) | ((level & 15) << (j & 1 ? 4 : 0));
            if (fifth) out[at + 16 + i] = (out[at + 16 + i] as number) | ((level >> 4) << j);
          }
        }
      }
    },
  };
}

const sixBits = (value: number, unit: number): number => (unit === 0 ? 0 : Math.min(63, Math.round(value / unit)));

/** How many scales are tried around the plain one. */
const tries = 9;

/**
 * The scale and least value by which levels come nearest to numbers, those of large size counting more. Scales around the plain one are
 * tried: for the levels that each gives, the best scale and least value follow by weighted least squares, and the error from the same sums.
 */
function fitted(x: Float32Array, levels: number): { readonly scale: number; readonly least: number } {
  let [low, high, squares] = [0, Number.NEGATIVE_INFINITY, 0];
  for (let i = 0; i < x.length; i++) {
    const value = x[i] as number;
    if (value < low) low = value;
    if (value > high) high = value;
    squares += value * value;
  }
  if (high <= low) return { scale: 0, least: -low };
  const even = Math.sqrt(squares / x.length);
  let [scale, least, smallest] = [(high - low) / (levels - 1), -low, Number.POSITIVE_INFINITY];
  for (let step = 0; step < tries; step++) {
    const inverse = (levels - 2 + step * 0.25) / (high - low);
    let [weights, sumQ, sumQ2, sumX, sumQX, sumX2] = [0, 0, 0, 0, 0, 0];
    for (let i = 0; i < x.length; i++) {
      const value = x[i] as number;
      const level = Math.min(levels - 1, Math.floor((value - low) * inverse + 0.5));
      const weight = even + Math.abs(value);
      const [weighted, product] = [weight * level, weight * value];
      weights += weight;
      sumQ += weighted;
      sumQ2 += weighted * level;
      sumX += product;
      sumQX += weighted * value;
      sumX2 += product * value;
    }
    const determinant = weights * sumQ2 - sumQ * sumQ;
    if (determinant <= 0) continue;
    let [ownScale, ownLeast] = [(weights * sumQX - sumQ * sumX) / determinant, -(sumQ2 * sumX - sumQ * sumQX) / determinant];
    // No value lies above zero at level 0: the format keeps it by its size.
    if (ownLeast < 0) [ownScale, ownLeast] = [sumQX / sumQ2, 0];
    if (!(ownScale > 0)) continue;
    const error =
      ownScale * ownScale * sumQ2 +
      ownLeast * ownLeast * weights +
      sumX2 -
      2 * (ownScale * ownLeast * sumQ + ownScale * sumQX - ownLeast * sumX);
    if (error < smallest) [scale, least, smallest] = [ownScale, ownLeast, error];
  }
  return { scale, least };
}

/** Sixteen parts of 16 numbers `d s q`, of six bits. */
const q6: BlockCode = {
  elements: width,
  bytes: 210,
  decode(from, out) {
    const half = halves();
    for (let at = 0, to = 0; at < from.length; at += 210, to += width) {
      const unit = half[uint16At(from, at + 208)] as number;
      for (let i = 0; i < width; i++) {
        const { low, high, shift, upper } = placeOf(i);
        const byte = from[at + low] as number;
        const level = (upper ? byte >> 4 : byte & 15) | ((((from[at + 128 + high] as number) >> shift) & 3) << 4);
        const scale = ((from[at + 192 + (i >> 4)] as number) << 24) >> 24;
        out[to + i] = fround(unit * scale) * (level - 32);
      }
    }
  },
  encode(values, out) {
    out.fill(0);
    const half = halves();
    for (let at = 0, from = 0; at < out.length; at += 210, from += width) {
      const parts = Array.from({ length: 16 }, (_, j) => symmetric(values.subarray(from + j * 16, from + j * 16 + 16)));
      const largest = parts.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
      const bits = halfOf(largest / -128);
      setUint16(out, at + 208, bits);
      const unit = half[bits] as number;
      for (const [j, part] of parts.entries()) {
        const scale = unit === 0 ? 0 : Math.min(127, Math.max(-128, Math.round(part / unit)));
        out[at + 192 + j] = scale & 0xff;
        for (let i = j * 16; i < j * 16 + 16; i++) {
          const steps = unit * scale === 0 ? 0 : Math.round((values[from + i] as number) / (unit * scale));
          const level = Math.min(31, Math.max(-32, steps)) + 32;
          const { low, high, shift, upper } = placeOf(i);
          out[at + low] = (out[at + low] as number) | ((level & 15) << (upper ? 4 : 0));
          out[at + 128 + high] = (out[at + 128 + high] as number) | ((level >> 4) << shift);
        }
      }
    }
  },
};

/** Where the bits of element i of a block of six bits lie. */
function placeOf(i: number): { readonly low: number; readonly high: number; readonly shift: number; readonly upper: boolean } {
  const [of, quarter, within] = [i >> 7, (i >> 5) & 3, i & 31];
  return { low: of * 64 + (quarter & 1) * 32 + within, high: of * 32 + within, shift: quarter * 2, upper: quarter > 1 };
}

/** The scale by which levels from -32 to 31 come nearest to numbers, large ones counting more; its sign may be either. */
function symmetric(x: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < x.length; i++) if (Math.abs(x[i] as number) > Math.abs(largest)) largest = x[i] as number;
  if (largest === 0) return 0;
  let [scale, most] = [largest / -32, Number.NEGATIVE_INFINITY];
  for (let step = -4; step <= 4; step++) {
    const inverse = -(32 + step * 0.2) / largest;
    let [sumQX, sumQ2] = [0, 0];
    for (let i = 0; i < x.length; i++) {
      const value = x[i] as number;
      const level = Math.min(31, Math.max(-32, Math.floor(value * inverse + 0.5)));
      const weighted = value * value * level;
      sumQX += weighted * value;
      sumQ2 += weighted * level;
    }
    const gain = sumQ2 > 0 ? (sumQX * sumQX) / sumQ2 : Number.NEGATIVE_INFINITY;
    if (gain > most) [scale, most] = [sumQX / sumQ2, gain];
  }
  return scale;
}

export const kBlockCodes = {
  Q4_K: affine(false),
  Q5_K: affine(true),
  Q6_K: q6,
} as const satisfies Readonly<Record<string, BlockCode>>;
