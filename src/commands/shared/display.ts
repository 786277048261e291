import { largest } from "../../large-lists.ts";
/** Text for people: numbers, a bar, a table. */
export const count = (n: number): string => Math.round(n).toLocaleString("en-US");
export const percent = (ratio: number): string => `${(ratio * 100).toFixed(1)}%`;
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
export const duration = (ms: number): string =>
  ms < 59_950 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;

export function bar(ratio: number, width = 24): string {
  const full = Math.round(Math.max(0, Math.min(1, ratio)) * width);
  return "█".repeat(full) + "░".repeat(width - full);
}

/** Columns padded to their widest cell; all but the first are numbers and lie right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => largest(rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("   ");
  const [head = [], ...body] = rows;
  return [line(head), widths.map((w) => "─".repeat(w)).join("───"), ...body.map(line)].map((l) => `  ${l}`).join("\n");
}

/** Where the output is a file or a pipe, a passing state is a line beside it, which comes no more often than this. */
const quietMs = 10_000;

/** A line that rewrites itself on a terminal; elsewhere the output has the lasting lines alone, and passing states go to the errors now and then. */
export class LiveLine {
  readonly #live = process.stdout.isTTY === true;
  #toldAt = performance.now();

  constructor(private readonly quiet = quietMs) {}

  /** Shows a passing state. */
  update(text: string): void {
    if (this.#live) process.stdout.write(`\r\x1b[K${text.slice(0, Math.max(20, (process.stdout.columns || 80) - 1))}`);
    else if (performance.now() - this.#toldAt >= this.quiet) {
      this.#toldAt = performance.now();
      process.stderr.write(`${text}\n`);
    }
  }

  /** Prints a lasting line in place of the passing state. */
  line(text: string): void {
    this.#toldAt = performance.now();
    process.stdout.write(this.#live ? `\r\x1b[K${text}\n` : `${text}\n`);
  }
}
