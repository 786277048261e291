import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { readIfThere } from "./ledger.ts";
import { filesUnder } from "./nearest-tests.ts";
import { type Case, casesOf, withNotes } from "./reach.ts";
import type { Workbench } from "./workbench.ts";

/** What is known of a test file with the sources unchanged. */
export interface Baseline {
  readonly test: string;
  /** What the file takes whichever of its tests are run. */
  readonly setUpMs: number;
  /** Those of its tests that ended in time; none if it failed. */
  readonly cases: readonly Case[];
}

interface Entry {
  readonly test: string;
  /** Digests of the test and of the sources. */
  readonly digests: Readonly<Record<string, string>>;
  readonly setUpMs: number;
  readonly cases: readonly (Omit<Case, "places"> & { readonly places: readonly string[] })[];
}

/** A test file is ended after so long. Of its tests those are used that came to their end. */
const longestFileMs = 240_000;

const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Runs test files with the sources unchanged, each once, and keeps what it found. */
export class Baselines {
  private readonly texts: ReadonlyMap<string, string>;
  private readonly entries: Map<string, Entry>;

  constructor(
    private readonly bench: Workbench,
    /** Where they are kept from run to run. */
    private readonly path: string,
    private readonly say: (line: string) => void,
  ) {
    const sources = filesUnder(bench.tree, "src", ".ts").filter((source) => !source.startsWith("src/generated/"));
    this.texts = new Map(sources.map((source) => [source, readFileSync(join(bench.tree, source), "utf8")]));
    const kept = JSON.parse(readIfThere(path) || "[]") as Entry[];
    this.entries = new Map(kept.map((entry) => [entry.test, entry]));
  }

  /** What is known of a test file, for mutants of a source. */
  async of(test: string, source: string): Promise<Baseline> {
    const known = this.entries.get(test);
    const stands = known && [test, source].every((path) => known.digests[path] === this.digestOf(path));
    const { setUpMs, cases } = stands ? known : await this.measure(test);
    return { test, setUpMs, cases: cases.map((found) => ({ ...found, places: new Set(found.places) })) };
  }

  private async measure(test: string): Promise<Entry> {
    for (const [source, text] of this.texts) await this.bench.write(source, withNotes(source, text, this.bench.notes));
    const { passed, failed, timedOut, durationMs } = await this.bench.run(test, longestFileMs);
    const begun = casesOf(readFileSync(this.bench.notes, "utf8"), Date.now());
    for (const [source, text] of this.texts) await this.bench.write(source, text);
    const setUpMs = begun.reduce((left, found) => left - found.durationMs, durationMs);
    const usable = passed ? begun : timedOut ? begun.filter(({ ended }) => ended) : [];
    if (timedOut) this.say(`${test} takes more than ${longestFileMs / 1000} s: the first ${usable.length} of its tests are used`);
    else if (!passed) this.say(`${test} is left out: it fails without a mutant (${failed ?? "it could not be run"})`);
    const digests = Object.fromEntries([test, ...this.texts.keys()].map((path) => [path, this.digestOf(path)]));
    const entry = { test, digests, setUpMs, cases: usable.map((found) => ({ ...found, places: [...found.places] })) };
    this.entries.set(test, entry);
    mkdirSync(dirname(this.path), { recursive: true });
    writeFileSync(this.path, JSON.stringify([...this.entries.values()]));
    return entry;
  }

  private digestOf(path: string): string {
    return digestOf(this.texts.get(path) ?? readIfThere(join(this.bench.tree, path)));
  }
}
