import { EspalierError } from "../../errors.ts";
import { isWhole } from "../../is-whole.ts";

type Json = Readonly<Record<string, unknown>>;

/**
 * One part of tokenizer.json, and where it stands, so that whatever is wrong with it can be said by name.
 *
 * Its readers throw EspalierError INVALID_TOKENIZER where a field is not what it must be.
 */
export class Component {
  readonly #fields: Json;

  /** @param place of the part in the file, e.g. `pre_tokenizer.pretokenizers[1]` */
  constructor(
    value: unknown,
    readonly place: string,
  ) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(place, "it is not an object");
    this.#fields = value as Json;
  }

  get type(): string {
    return this.text("type");
  }

  has(name: string): boolean {
    return this.#fields[name] != null;
  }

  text(name: string, otherwise?: string): string {
    return this.#read(name, otherwise, (v) => typeof v === "string", "a string");
  }

  flag(name: string, otherwise?: boolean): boolean {
    return this.#read(name, otherwise, (v) => typeof v === "boolean", "true or false");
  }

  /** A whole number that is not negative. */
  count(name: string, otherwise?: number): number {
    return this.#read(name, otherwise, (v) => isWhole(v), "a whole number");
  }

  number(name: string, otherwise?: number): number {
    return this.#read(name, otherwise, (v) => typeof v === "number", "a number");
  }

  list(name: string): readonly unknown[] {
    return this.#read<readonly unknown[]>(name, undefined, Array.isArray, "a list");
  }

  parts(name: string): Component[] {
    return this.list(name).map((value, i) => new Component(value, `${this.#within(name)}[${i}]`));
  }

  part(name: string): Component {
    return new Component(this.#fields[name], this.#within(name));
  }

  /** The part, or null where the file has none or null. */
  optional(name: string): Component | null {
    return this.has(name) ? this.part(name) : null;
  }

  /** Its fields, of whatever names. */
  entries(): [name: string, value: unknown][] {
    return Object.entries(this.#fields);
  }

  invalid(problem: string, options?: ErrorOptions): EspalierError {
    return invalid(this.place, problem, options);
  }

  /** What Hugging Face's tokenizers take, and is not taken here. */
  unsupported(problem: string): EspalierError {
    return new EspalierError("UNSUPPORTED_TOKENIZER", `tokenizer.json: ${this.place}: ${problem} is not supported`, {
      component: this.place,
      problem,
    });
  }

  /** The record of a table that is of this type. */
  choose<T>(table: Readonly<Record<string, T>>): T {
    if (!Object.hasOwn(table, this.type)) throw this.unsupported(`the type "${this.type}"`);
    return table[this.type] as T;
  }

  #within(name: string): string {
    return this.place === "" ? name : `${this.place}.${name}`;
  }

  #read<T>(name: string, otherwise: T | undefined, fits: (value: unknown) => boolean, what: string): T {
    const value = this.#fields[name] ?? otherwise;
    if (value === undefined || !fits(value)) throw this.invalid(`"${name}" must be ${what}`);
    return value as T;
  }
}

const invalid = (place: string, problem: string, options?: ErrorOptions): EspalierError =>
  new EspalierError(
    "INVALID_TOKENIZER",
    `tokenizer.json: ${place === "" ? "" : `${place}: `}${problem}`,
    { component: place, problem },
    options,
  );
