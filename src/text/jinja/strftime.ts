import { fail } from "./values.ts";

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const months = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

const two = (n: number): string => String(n).padStart(2, "0");
const dayOfYear = (d: Date): number =>
  Math.round((new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime() - new Date(d.getFullYear(), 0, 1).getTime()) / 86_400_000) + 1;

/** By C's directives, in local time. */
const directives: Readonly<Record<string, (d: Date) => string>> = {
  "%": () => "%",
  A: (d) => days[d.getDay()] as string,
  B: (d) => months[d.getMonth()] as string,
  D: (d) => strftime("%m/%d/%y", d),
  F: (d) => strftime("%Y-%m-%d", d),
  H: (d) => two(d.getHours()),
  I: (d) => two(d.getHours() % 12 || 12),
  M: (d) => two(d.getMinutes()),
  S: (d) => two(d.getSeconds()),
  T: (d) => strftime("%H:%M:%S", d),
  Y: (d) => String(d.getFullYear()),
  a: (d) => (days[d.getDay()] as string).slice(0, 3),
  b: (d) => (months[d.getMonth()] as string).slice(0, 3),
  d: (d) => two(d.getDate()),
  e: (d) => String(d.getDate()).padStart(2, " "),
  f: (d) => `${String(d.getMilliseconds()).padStart(3, "0")}000`,
  j: (d) => String(dayOfYear(d)).padStart(3, "0"),
  m: (d) => two(d.getMonth() + 1),
  n: () => "\n",
  p: (d) => (d.getHours() < 12 ? "AM" : "PM"),
  t: () => "\t",
  y: (d) => two(d.getFullYear() % 100),
};

/** A time as a text. A dash after the percent sign leaves out zeros before a number. */
export const strftime = (format: string, time: Date): string =>
  format.replace(/%(-?)([\s\S])/gu, (whole, dash: string, letter: string) => {
    const found = (directives[letter] ?? fail(`the directive ${whole} is not supported`))(time);
    return dash === "" ? found : found.replace(/^[0 ]+(?=.)/u, "");
  });
