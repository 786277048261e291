import { mean } from "../../pruning/mean.ts";
import { aboveChanceOverTasks, chanceObstacle } from "../../services/retained.ts";
import { deviation } from "./deviation.ts";
import type { Evaluation, Healed, Model, Run } from "./operations.ts";

/** One model of the comparison: the base, or what a method made of it with one seed. */
export interface Row {
  /** Null for the base. */
  readonly method: string | null;
  readonly seed: number | null;
  /** Why there is no model, in the server's words. */
  readonly failure: string | null;
  readonly run: Run | null;
  readonly model: Model | null;
  readonly text: Evaluation | null;
  /** By task. */
  readonly tasks: Readonly<Record<string, Evaluation>>;
  /** What healing made of it, and how that measures; null where nothing was healed. */
  readonly healed?: {
    readonly run: Healed;
    readonly text: Evaluation | null;
    readonly tasks: Readonly<Record<string, Evaluation>>;
  } | null;
  /** The best of the rounds: the least disturbed by what else the machine does. */
  readonly decodeTokensPerSecond: number | null;
}

/** The table's cells as words, the first row its head. */
export function tableOf(rows: readonly Row[], taskNames: readonly string[]): string[][] {
  const base = rows.find((r) => r.method === null);
  const head = [
    "",
    "removed",
    "perplexity",
    "next token",
    "divergence",
    "same token",
    "same beginning",
    ...taskNames,
    "retained",
    ...(taskNames.length > 0 ? ["above chance"] : []),
    ...(rows.some((r) => r.healed) ? healedHead(taskNames) : []),
    "prune",
    "memory",
    "decode",
  ];
  const groups = new Map<string, Row[]>();
  for (const row of rows) groups.set(row.method ?? "", [...(groups.get(row.method ?? "") ?? []), row]);
  const heals = rows.some((r) => r.healed);
  return [head, ...[...groups].map(([method, of]) => line(method || "(unpruned)", of, taskNames, base, heals))];
}

const healedHead = (taskNames: readonly string[]): string[] => [
  "healed: perplexity",
  "won back",
  "next token",
  "divergence",
  ...(taskNames.length > 0 ? ["above chance"] : []),
  "heal",
];

/** Of the nats that pruning cost, the share that healing won back. */
function wonBack({ text, healed }: Row, base: Row | undefined): number | null {
  const [whole, cut, after] = [base?.text, text, healed?.text].map((e) => e?.result?.perplexity);
  return whole && cut && after && cut > whole ? Math.log(cut / after) / Math.log(cut / whole) : null;
}

/** Exact matches, or `acc`, `acc_norm` and `acc_bytes`, as a task's cell shows them. */
const choiceMetrics = ["exactMatch", "accuracy", "normalizedAccuracy", "byteNormalizedAccuracy"] as const;

function line(name: string, rows: readonly Row[], taskNames: readonly string[], base: Row | undefined, heals: boolean): string[] {
  const done = rows.filter((r) => r.failure === null);
  if (done.length === 0) return [name, "none"];
  const seeds = done.length;
  const cell = (
    show: (n: number) => string,
    value: (row: Row) => number | null | undefined,
    error?: (row: Row) => number | null | undefined,
  ) => {
    const values = done.map(value).filter((v) => v != null);
    if (values.length === 0) return "";
    const spread = seeds > 1 ? deviation(values) : error?.(done[0] as Row);
    return spread == null ? show(mean(values)) : `${show(mean(values))} ± ${show(spread)}`;
  };
  const percent = (n: number) => (100 * n).toFixed(1);
  const unpruned = rows[0]?.method === null;
  return [
    unpruned || seeds === 1 ? name : `${name} (${seeds} seeds)`,
    cell(
      (n) => `${percent(n)}%`,
      (r) => r.run?.removedRatio ?? 0,
    ),
    cell(
      (n) => n.toFixed(2),
      (r) => r.text?.result?.perplexity,
      (r) => r.text?.result?.perplexityStandardError,
    ),
    cell(
      percent,
      (r) => r.text?.result?.nextTokenAccuracy,
      (r) => r.text?.result?.nextTokenAccuracyStandardError,
    ),
    cell(
      (n) => n.toFixed(3),
      (r) => r.text?.result?.divergence,
      (r) => r.text?.result?.divergenceStandardError,
    ),
    cell(
      percent,
      (r) => r.text?.result?.greedyAgreement,
      (r) => r.text?.result?.greedyAgreementStandardError,
    ),
    cell(
      (n) => n.toFixed(1),
      (r) => r.text?.result?.commonBeginningTokens,
      (r) => r.text?.result?.commonBeginningTokensStandardError,
    ),
    ...taskNames.map((task) => {
      const of = (key: (typeof choiceMetrics)[number] | `${(typeof choiceMetrics)[number]}StandardError`) => (r: Row) =>
        r.tasks[task]?.result?.[key];
      return choiceMetrics
        .map((name) => cell(percent, of(name), of(`${name}StandardError`)))
        .filter((words) => words !== "")
        .join(" / ");
    }),
    unpruned ? "" : cell((n) => `${percent(n)}%`, retained),
    ...(taskNames.length === 0
      ? []
      : [
          unpruned || !base
            ? ""
            : cell(
                (n) => `${percent(n)}%`,
                (r) => aboveChance(r, base)?.value,
                (r) => aboveChance(r, base)?.standardError,
              ),
        ]),
    ...(heals
      ? [
          cell(
            (n) => n.toFixed(2),
            (r) => r.healed?.text?.result?.perplexity,
            (r) => r.healed?.text?.result?.perplexityStandardError,
          ),
          cell(
            (n) => `${percent(n)}%`,
            (r) => wonBack(r, base),
          ),
          cell(
            percent,
            (r) => r.healed?.text?.result?.nextTokenAccuracy,
            (r) => r.healed?.text?.result?.nextTokenAccuracyStandardError,
          ),
          cell(
            (n) => n.toFixed(3),
            (r) => r.healed?.text?.result?.divergence,
            (r) => r.healed?.text?.result?.divergenceStandardError,
          ),
          ...(taskNames.length === 0
            ? []
            : [
                cell(
                  (n) => `${percent(n)}%`,
                  (r) => (base && r.healed ? aboveChance(r.healed, base)?.value : null),
                  (r) => (base && r.healed ? aboveChance(r.healed, base)?.standardError : null),
                ),
              ]),
          cell(
            (n) => `${n.toFixed(0)} s`,
            (r) => (r.healed ? seconds(r.healed) : null),
          ),
        ]
      : []),
    unpruned ? "" : cell((n) => `${n.toFixed(0)} s`, seconds),
    unpruned
      ? ""
      : cell(
          (n) => `${(n / 1e9).toFixed(2)} GB`,
          (r) => r.run?.peakMemoryBytes,
        ),
    unpruned
      ? cell(
          (n) => `${n.toFixed(1)}/s`,
          (r) => r.decodeTokensPerSecond,
        )
      : cell(
          (n) => `x ${n.toFixed(2)}`,
          (r) => (r.decodeTokensPerSecond && base?.decodeTokensPerSecond ? r.decodeTokensPerSecond / base.decodeTokensPerSecond : null),
        ),
  ];
}

/** Of the tasks' accuracy the mean share kept, `acc`; without tasks, of next-token accuracy. */
export function retained({ tasks, text }: Row): number | null {
  const ratios = Object.values(tasks).flatMap((t) => t.retained?.accuracyRatio ?? []);
  return ratios.length > 0 ? mean(ratios) : (text?.retained?.accuracyRatio ?? null);
}

/** Of what the base knew above chance, the share that is left, over the tasks at which it is above chance. */
const aboveChance = ({ tasks }: Pick<Row, "tasks">, base: Row) =>
  aboveChanceOverTasks(
    Object.entries(tasks).flatMap(([name, { result, retained }]) => {
      const other = base.tasks[name]?.result;
      if (!result || !other) return [];
      return [{ own: result, other, accuracyDifferenceStandardError: retained?.accuracyDifferenceStandardError ?? null }];
    }),
  );

/** Which tasks the column "above chance" leaves out, and why. */
export const leftOutOf = (rows: readonly Row[]): string[] => {
  const base = rows.find((r) => r.method === null);
  return Object.entries(base?.tasks ?? {}).flatMap(([name, { result }]) => {
    if (result?.accuracy == null || result.chanceAccuracy == null) return [];
    const why = chanceObstacle(result.accuracy, result.accuracyStandardError, result.chanceAccuracy);
    return why === null ? [] : [`"above chance" leaves out ${name}: ${why}`];
  });
};

const seconds = ({ run }: { readonly run: Pick<Run, "startedAt" | "finishedAt"> | null }): number | null =>
  run?.startedAt && run.finishedAt ? (Date.parse(run.finishedAt) - Date.parse(run.startedAt)) / 1000 : null;

/** Why rows are missing, in the server's words. */
export const failuresOf = (rows: readonly Row[]): string[] =>
  rows.flatMap(({ method, seed, failure }) => (failure === null ? [] : [`${method}, seed ${seed}: ${failure}`]));

/** Which structures each run removed, in order, where they are few enough to be read. */
export const removalsOf = (rows: readonly Row[]): string[] =>
  rows.flatMap(({ method, seed, run }) => {
    const removed = run?.iterations.flatMap((i) => i.removed) ?? [];
    const of = (kind: string) =>
      `${kind} ${removed
        .filter((r) => r.kind === kind)
        .map((r) => r.index)
        .join(", ")}`;
    if (removed.length === 0 || removed.length > 32) return [];
    return [`${method}, seed ${seed} removed ${[...new Set(removed.map((r) => r.kind))].map(of).join("; ")}`];
  });

export function markdown(cells: readonly (readonly string[])[]): string {
  const [head = [], ...body] = cells;
  const line = (row: readonly string[]) => `| ${head.map((_, i) => row[i] ?? "").join(" | ")} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? "---" : "---:"))), ...body.map(line)].join("\n");
}
