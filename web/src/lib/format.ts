/** Numbers, times and names for people, each in one way all over the page. */

const locale = "en-US";
const whole = new Intl.NumberFormat(locale);
const compact = new Intl.NumberFormat(locale, { notation: "compact", maximumSignificantDigits: 4 });
const share = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const ago = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });

const none = "–";

export const count = (value: number | null | undefined): string => (value == null ? none : whole.format(value));

/** 1.416M */
export const short = (value: number | null | undefined): string => (value == null ? none : compact.format(value));

export const percent = (ratio: number | null | undefined): string => (ratio == null ? none : share.format(ratio));

/** A measured number with so many digits that count. */
export function measured(value: number | null | undefined, digits = 4): string {
  if (value == null) return none;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(digits - 1);
  return new Intl.NumberFormat(locale, { maximumSignificantDigits: digits }).format(value);
}

/** A measurement with its standard error: `57.93 ± 0.84`. */
export function withError(value: number | null | undefined, error: number | null | undefined): string {
  if (value == null) return none;
  if (!error) return measured(value);
  const decimals = Math.max(0, Math.min(8, 1 - Math.floor(Math.log10(error))));
  return `${value.toFixed(decimals)} ± ${error.toFixed(decimals)}`;
}

/** 5.66 MB; a kB is 1,000 bytes. */
export function bytes(value: number | null | undefined): string {
  if (value == null) return none;
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = value < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 }).format(value / 1000 ** step)} ${units[step]}`;
}

/** 1 h 4 min */
export function duration(ms: number | null | undefined): string {
  if (ms == null || Number.isNaN(ms)) return none;
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${Math.round(Math.max(0, ms))} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export const moment = (iso: string | null | undefined): string => (iso ? when.format(new Date(iso)) : none);

const units = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1000],
] as const;

/** `3 minutes ago`, where `now` is by the clock that told the time. What is to come is now. */
export function since(iso: string, now: number): string {
  const passed = Math.max(0, now - Date.parse(iso));
  const [unit, size] = units.find(([, ms]) => passed >= ms) ?? ["second", 1000];
  return passed < 5000 ? "just now" : ago.format(-Math.floor(passed / size), unit);
}

/** `LEAST_SQUARES` as `least squares`. */
export const words = (name: string): string => name.toLowerCase().replaceAll("_", " ");

/** Letters that are written from right to left, and characters that turn writing around. */
const turning = /[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufeff]/;

/** A name where no element can stand around it, so that it turns nothing but itself around. */
export const isolated = (name: string): string => (turning.test(name) ? `\u2068${name}\u2069` : name);

/** With its first letter large. */
export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** `structuresPerIteration` as `Structures per iteration`. */
export function title(name: string): string {
  const text = name
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replaceAll("_", " ")
    .toLowerCase();
  return capital(text);
}
