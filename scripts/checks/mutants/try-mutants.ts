import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { seededRandom, shuffled } from "../../../src/random.ts";
import { type Baseline, Baselines } from "./baselines.ts";
import { Ledger, type Verdict } from "./ledger.ts";
import { type Mutation, mutated, mutationsOf } from "./mutations.ts";
import { filesUnder, testsByNearness } from "./nearest-tests.ts";
import { casesOf, placeAround } from "./reach.ts";
import { Workbench } from "./workbench.ts";

export interface MutantOptions {
  /** The checkout: it has `src`, `test` and `node_modules`, and stays as it is. */
  readonly root: string;
  /** Sources or folders of sources, from the root. */
  readonly paths: readonly string[];
  /** So many mutants of all there are, drawn by the seed; null for all. */
  readonly sample: number | null;
  readonly seed: number;
  /** So many test files a source at most, the nearest. */
  readonly tests: number;
  /** Where verdicts are kept from run to run, and what tests reach. */
  readonly ledger: string;
  readonly baselines: string;
  readonly say: (line: string) => void;
}

export interface Mutant {
  readonly source: string;
  /** Of the source, unchanged. */
  readonly text: string;
  readonly mutation: Mutation;
}

export interface TriedMutant extends Mutant {
  readonly verdict: Verdict;
}

/** A mutant may take so many times as long as the unchanged source, and so much longer: loops that do not end are found out. */
const slack = { factor: 3, ms: 5000 };
/** The tests of one mutant may take so long together with the sources unchanged; the quickest is run whatever it takes. */
const budgetMs = 30_000;

/** All mutants of some sources, by source and place. */
export function mutantsIn(root: string, paths: readonly string[]): Mutant[] {
  const sources = paths.flatMap((path) => (statSync(join(root, path)).isDirectory() ? filesUnder(root, path, ".ts") : [path]));
  return [...new Set(sources)].flatMap((source) => {
    const text = readFileSync(join(root, source), "utf8");
    return mutationsOf(text).map((mutation) => ({ source, text, mutation }));
  });
}

/** A sample in the order of the whole, so that mutants of one source come together. */
function sampleOf<T>(items: readonly T[], sample: number | null, seed: number): readonly T[] {
  if (sample === null) return items;
  const drawn = new Set(shuffled(seededRandom(seed, "mutants"), items).slice(0, sample));
  return items.filter((item) => drawn.has(item));
}

/** Some tests of a file, and how long they take with the sources unchanged. */
interface Trial {
  readonly test: string;
  readonly names: readonly string[];
  readonly durationMs: number;
}

/** The tests that reach a place: the quickest first, as many as the budget allows, those of a file together. */
function trialsOf(baselines: readonly Baseline[], place: string): Trial[] {
  const reaching = baselines
    .flatMap(({ test, setUpMs, cases }) => cases.filter(({ places }) => places.has(place)).map((found) => ({ test, setUpMs, ...found })))
    .sort((a, b) => a.setUpMs + a.durationMs - b.setUpMs - b.durationMs);
  const trials = new Map<string, Trial>();
  let spentMs = 0;
  for (const { test, setUpMs, name, durationMs } of reaching) {
    const trial = trials.get(test) ?? { names: [], durationMs: setUpMs };
    const moreMs = durationMs + (trial.names.length > 0 ? 0 : setUpMs);
    if (spentMs > 0 && spentMs + moreMs > budgetMs) break;
    spentMs += moreMs;
    trials.set(test, { test, names: [...trial.names, name], durationMs: trial.durationMs + durationMs });
  }
  return [...trials.values()].sort((a, b) => a.durationMs - b.durationMs);
}

/**
 * Tries mutants one after another: each in a copy of the checkout, against those tests of the files nearest to its source that
 * reach its function, the quickest first, until one fails.
 * A test file that fails without any mutant is left out, and said.
 */
export async function* tryMutants(options: MutantOptions): AsyncGenerator<TriedMutant> {
  const { root, paths, sample, seed } = options;
  const chosen = sampleOf(mutantsIn(root, paths), sample, seed);
  const nearest = testsByNearness(root, options.tests);
  const bench = await Workbench.open(root);
  // What is tried is the copy, whatever is edited meanwhile.
  const ledger = new Ledger(options.ledger, bench.tree);
  const baselines = new Baselines(bench, options.baselines, options.say);

  const judge = async ({ source, text, mutation }: Mutant, tests: readonly string[]): Promise<Verdict> => {
    const place = placeAround(source, text, mutation.start);
    const known: Baseline[] = [];
    for (const test of tests) known.push(await baselines.of(test, source));
    const trials = trialsOf(known, place);
    for (const { test, names, durationMs } of trials) {
      await bench.write(source, mutated(text, mutation));
      const run = await bench.run(test, durationMs * slack.factor + slack.ms, names);
      await bench.write(source, text);
      if (!run.passed) return { outcome: run.timedOut ? "TIMED_OUT" : "KILLED", tests: [test], failed: run.failed };
      const ran = new Set(casesOf(readFileSync(bench.notes, "utf8"), 0).map(({ name }) => name));
      if (names.some((name) => !ran.has(name))) throw new Error(`${test} ran other tests than ${names.join(", ")}`);
    }
    return { outcome: trials.length > 0 ? "SURVIVED" : "UNREACHED", tests, failed: null };
  };

  try {
    for (const mutant of chosen) {
      const { source, mutation } = mutant;
      const tests = nearest(source);
      const known = ledger.find(source, mutation, tests);
      const verdict = known ?? (await judge(mutant, tests));
      if (!known) ledger.add(source, mutation, verdict);
      yield { ...mutant, verdict };
    }
  } finally {
    bench.close();
  }
}
