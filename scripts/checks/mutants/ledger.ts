import { createHash } from "node:crypto";
import { appendFileSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Mutation } from "./mutations.ts";

/** What became of a mutant, and which tests say so: the one that it did not survive, or all that were considered. */
export interface Verdict {
  readonly outcome: "KILLED" | "TIMED_OUT" | "SURVIVED" | "UNREACHED";
  readonly tests: readonly string[];
  /** The test within the file that failed. */
  readonly failed: string | null;
}

interface Entry extends Verdict, Mutation {
  readonly source: string;
  /** sha256 of the source and of each test file. A verdict stands as long as these do. */
  readonly digests: Readonly<Record<string, string>>;
}

/** The verdicts so far, one a line, so that a run that was cut short or comes again goes on where it can. */
export class Ledger {
  private readonly entries = new Map<string, Entry>();
  private readonly digests = new Map<string, string>();

  constructor(
    private readonly path: string,
    private readonly root: string,
  ) {
    mkdirSync(dirname(path), { recursive: true });
    for (const line of readIfThere(path).split("\n").filter(Boolean)) {
      const entry = JSON.parse(line) as Entry;
      this.entries.set(nameOf(entry.source, entry), entry);
    }
  }

  /** A verdict that still stands. That no test noticed stands for those considered only. */
  find(source: string, mutation: Mutation, tests: readonly string[]): Verdict | null {
    const entry = this.entries.get(nameOf(source, mutation));
    if (!entry || Object.entries(entry.digests).some(([path, digest]) => this.digestOf(path) !== digest)) return null;
    const noticed = entry.outcome === "KILLED" || entry.outcome === "TIMED_OUT";
    return noticed || tests.every((test) => entry.tests.includes(test)) ? entry : null;
  }

  add(source: string, mutation: Mutation, verdict: Verdict): void {
    const digests = Object.fromEntries([source, ...verdict.tests].map((path) => [path, this.digestOf(path)]));
    const entry: Entry = { source, ...mutation, ...verdict, digests };
    this.entries.set(nameOf(source, mutation), entry);
    appendFileSync(this.path, `${JSON.stringify(entry)}\n`);
  }

  private digestOf(path: string): string {
    const known = this.digests.get(path);
    if (known !== undefined) return known;
    const digest = createHash("sha256")
      .update(readIfThere(join(this.root, path)))
      .digest("hex");
    this.digests.set(path, digest);
    return digest;
  }
}

const nameOf = (source: string, { start, end, replacement }: Mutation): string => JSON.stringify([source, start, end, replacement]);

/** A file's text; empty if there is none. */
export function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return "";
  }
}
