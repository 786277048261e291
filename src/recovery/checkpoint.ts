import { open } from "node:fs/promises";
import { EspalierError } from "../errors.ts";
import type { Trainer } from "./trainer.ts";

/** Where training stands: what of it is not in the vectors. */
export interface Standing {
  /** Steps that are done. */
  readonly step: number;
  /** What the rate is multiplied with: halved at each retreat. */
  readonly rateFactor: number;
  readonly retreats: number;
  /** Loss of the texts held back, in nats per token: before the first step, at the best step, and of the teacher. */
  readonly startLoss: number;
  readonly bestLoss: number;
  readonly teacherLoss: number | null;
  /** 0 while no check has been better than the beginning. */
  readonly bestStep: number;
  readonly checksSinceBest: number;
  /** The mean of the losses of steps, the newer the more; null before the first. */
  readonly trend: number | null;
  /** The same of fewer steps; missing in a checkpoint of a version that had none. */
  readonly recent?: number | null;
  readonly trainedTokens: number;
}

/** Bytes of the header, which says what follows it. */
const headerBytes = 4096;
const format = "espalier-recovery-1";

/** What a checkpoint's file holds after its header: vectors of float32, as many as are trained each. */
const sections = ["weights", "first", "second", "best"] as const;

const bytesOf = (v: Float32Array): Uint8Array => new Uint8Array(v.buffer, v.byteOffset, v.byteLength);

/**
 * Writes where training stands. Of equal states the bytes are equal.
 *
 * @param earlier the file of an earlier check, from which the best weights come if they are not those of now
 */
export async function writeCheckpoint(
  path: string,
  { vectors, trainedCount }: Trainer,
  standing: Standing,
  earlier: string | null,
): Promise<void> {
  const file = await open(path, "w");
  try {
    const header = Buffer.alloc(headerBytes, " ");
    header.write(JSON.stringify({ format, count: trainedCount, ...standing }));
    await file.write(header);
    for (const name of ["weights", "first", "second"] as const) await file.write(bytesOf(vectors[name].subarray(0, trainedCount)));
    if (standing.bestStep !== standing.step && standing.bestStep > 0 && earlier)
      await file.write(bytesOf(await bestOf(earlier, trainedCount)));
  } finally {
    await file.close();
  }
}

async function readSection(path: string, count: number, section: (typeof sections)[number], into: Float32Array): Promise<void> {
  const file = await open(path, "r");
  try {
    const bytes = bytesOf(into.subarray(0, count));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, headerBytes + sections.indexOf(section) * bytes.length);
    if (bytesRead !== bytes.length) throw unusable(path, "is cut off");
  } finally {
    await file.close();
  }
}

const unusable = (path: string, why: string): EspalierError => new EspalierError("INVALID_CHECKPOINT", `the checkpoint "${path}" ${why}`);

/** @throws EspalierError INVALID_CHECKPOINT */
async function readStanding(path: string): Promise<Standing & { readonly count: number }> {
  const file = await open(path, "r");
  try {
    const { buffer } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
    const { format: found, ...standing } = JSON.parse(buffer.toString().trim());
    if (found !== format) throw unusable(path, `is of the format ${found}`);
    return standing;
  } finally {
    await file.close();
  }
}

/** Puts training back to where it stood. @throws EspalierError INVALID_CHECKPOINT if the file is of something else */
export async function readCheckpoint(path: string, trainer: Trainer): Promise<Standing> {
  const { count, ...standing } = await readStanding(path);
  if (count !== trainer.trainedCount) throw unusable(path, `is of ${count} numbers; ${trainer.trainedCount} are trained`);
  for (const name of ["weights", "first", "second"] as const) await readSection(path, count, name, trainer.vectors[name]);
  trainer.vectors.gradients.fill(0);
  return standing;
}

/** The best weights that a checkpoint knows of; those after its header where that was its own step. */
export async function bestOf(path: string, count: number): Promise<Float32Array> {
  const { step, bestStep } = await readStanding(path);
  const best = new Float32Array(count);
  await readSection(path, count, bestStep === step ? "weights" : "best", best);
  return best;
}
