import { EspalierError } from "../../../src/errors.ts";

const isExact = process.env["NVIDIA_TF32_OVERRIDE"] === "0";

/** Sums of many products in another order, of weights drawn at random: what may differ, by the largest entry. With TF32 products have ten bits. */
export const tolerance = isExact ? 1e-3 : 2e-2;
export const precision = `TF32 ${isExact ? "off" : "on"}; tolerance ${tolerance}`;

/** The largest difference between two lists, by the largest entry of the first. */
export function apart(expected: ArrayLike<number>, found: ArrayLike<number>): number {
  let [difference, largest] = [expected.length === found.length ? 0 : Number.POSITIVE_INFINITY, 0];
  for (let i = 0; i < expected.length; i++) {
    const [e, f] = [expected[i] as number, found[i] as number];
    difference = Math.max(difference, Number.isFinite(f) ? Math.abs(e - f) : Number.POSITIVE_INFINITY);
    largest = Math.max(largest, Math.abs(e));
  }
  return difference / largest;
}

/** Prints the rows of a check, and counts what is wrong in them. */
export class Report {
  wrong = 0;

  heading(...columns: readonly string[]): void {
    console.log(`\n| ${columns.join(" | ")} |\n|${columns.map((_, i) => (i === 0 ? " --- " : " ---: ")).join("|")}|`);
  }

  /** A row, or why it could not be had. */
  async row(name: string, cells: () => Promise<readonly (string | number)[]>): Promise<void> {
    try {
      console.log(`| ${name} | ${(await cells()).join(" | ")} |`);
    } catch (error) {
      this.wrong++;
      console.log(`| ${name} | ${error instanceof EspalierError ? `${error.code}: ${error.message.slice(0, 300)}` : String(error)} |`);
    }
  }

  /** A difference, and whether it is too large. */
  difference(value: number): string {
    if (!(value <= tolerance)) this.wrong++;
    return `${value.toExponential(1)}${value <= tolerance ? "" : " WRONG"}`;
  }
}

export const seconds = (ms: number): string => (ms / 1000).toFixed(2);
