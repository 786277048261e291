import type { RecoveryOptions, Schedule } from "./options.ts";

/** What is left of the rate at the end of a schedule that falls. */
const floor = 0.1;

/** Of what lies between the floor and the peak, how much is left when this share of the steps is done. */
const left: Readonly<Record<Schedule, (done: number) => number>> = {
  COSINE: (done) => (1 + Math.cos(Math.PI * done)) / 2,
  LINEAR: (done) => 1 - done,
  CONSTANT: () => 1,
};

/** The share of the peak rate that a step is made with, counted from 1: it rises over the warm-up, and falls from the beginning on. */
export function rateAt(
  step: number,
  { steps, warmupSteps, schedule }: Pick<RecoveryOptions, "steps" | "warmupSteps" | "schedule">,
): number {
  // What has few steps warms up in them.
  const rising = Math.min(warmupSteps, steps);
  const warm = rising === 0 ? 1 : Math.min(1, step / rising);
  return warm * (floor + (1 - floor) * left[schedule](step / steps));
}
