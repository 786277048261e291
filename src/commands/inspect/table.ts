import { largest } from "../../large-lists.ts";
export type Row = readonly [label: string, value: string | number];

/** A heading and its rows, values aligned: numbers to the right. */
export function printTable(heading: string, rows: readonly Row[]): void {
  const text = (value: string | number) => (typeof value === "number" ? value.toLocaleString("en") : value);
  const labels = largest([...rows.map(([label]) => label.length), 0]);
  const numbers = largest([...rows.map(([, value]) => (typeof value === "number" ? text(value).length : 0)), 0]);
  console.log(`\n${heading}`);
  for (const [label, value] of rows)
    console.log(`  ${label.padEnd(labels)}  ${typeof value === "number" ? text(value).padStart(numbers) : value}`);
}
