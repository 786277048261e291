import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, relative } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { EspalierError } from "../../errors.ts";
import { largest } from "../../large-lists.ts";
import { type Client, connect } from "../shared/client.ts";
import { duration, LiveLine, percent, table } from "../shared/display.ts";
import { startServer } from "../shared/server.ts";
import { type Arguments, commonFolder, isFile, type Settings } from "./arguments.ts";
import * as api from "./operations.ts";
import { failuresOf, leftOutOf, markdown, type Row, removalsOf, tableOf } from "./table.ts";

type DatasetInput = { readonly id: string } | { readonly name: string };

const taskName = (file: string): string => basename(file, extname(file));

/** Rows that an earlier run with the same arguments left. */
function earlierRows({ arguments: args, out }: Settings): Row[] {
  if (!existsSync(`${out}.json`)) return [];
  const found = JSON.parse(readFileSync(`${out}.json`, "utf8")) as { readonly arguments: Arguments; readonly rows: Row[] };
  return isDeepStrictEqual(found.arguments, JSON.parse(JSON.stringify(args))) ? found.rows : [];
}

class Comparison {
  readonly #live = new LiveLine();
  #baseId = "";
  readonly rows: Row[];

  constructor(
    private readonly client: Client,
    private readonly settings: Settings,
    private readonly datasetRoot: string,
  ) {
    this.rows = earlierRows(settings);
  }

  get #args(): Arguments {
    return this.settings.arguments;
  }

  async run(): Promise<void> {
    const { model: folder, seeds } = this.#args;
    const model = await api.registerModel(this.client, basename(folder));
    const [calibration, text] = [await this.#dataset(this.#args.calibration), await this.#dataset(this.#args.text)];
    const tasks = new Map<string, DatasetInput>();
    for (const file of this.#args.tasks) tasks.set(taskName(file), await this.#dataset(file));
    const methods = this.#args.methods ?? (await api.methodNames(this.client));
    this.#baseId = model.id;
    if (!this.rows.some((r) => r.method === null)) await this.#measure(emptyRow, model, text, tasks);
    for (const method of methods)
      for (const seed of seeds) {
        if (this.rows.some((r) => r.method === method && r.seed === seed && r.failure === null && this.#isDone(r))) continue;
        const row = await this.#prune(method, seed, model.id, calibration);
        if (!row.model) this.#keep(row);
        else {
          const left = await this.#compressed(`${method}, seed ${seed}`, row.model, seed, calibration);
          const measured = await this.#measure(row, left, text, tasks);
          if (this.#args.heal) await this.#heal(measured, row.model, this.#args.heal, calibration, text, tasks);
        }
      }
    await this.#time(text);
  }

  #isDone = (row: Row): boolean => this.#args.heal === null || row.healed != null;

  async #dataset(dataset: string): Promise<DatasetInput> {
    if (!isFile(dataset)) return { name: dataset };
    const path = relative(this.datasetRoot, dataset);
    return { id: await api.registerDataset(this.client, path, taskName(dataset)) };
  }

  async #prune(method: string, seed: number, modelId: string, dataset: DatasetInput): Promise<Row> {
    const { ratio, kinds, options } = this.#args;
    const what = `${method}, seed ${seed}`;
    const input = { subject: { modelId }, method, dataset, options: { targetRatio: ratio, structureKinds: kinds, seed, ...options } };
    const failed = (failure: string): Row => {
      this.#live.line(`${what}: ${failure}`);
      return { ...emptyRow, method, seed, failure };
    };
    this.#live.update(`${what}: pruning ...`);
    try {
      const run = await api.prune(this.client, input, (removed) => this.#live.update(`${what}: ${percent(removed)} removed ...`));
      if (run.resultModel) return { ...emptyRow, method, seed, run, model: run.resultModel };
      return failed(`the run ended ${run.status}: ${run.error?.message} [${run.error?.code}]`);
    } catch (error) {
      // The server refuses what a method cannot do; that is a result too.
      if (!(error instanceof EspalierError)) throw error;
      return failed(`${error.message} [${error.code}]`);
    }
  }

  async #measure(row: Row, model: api.Model, text: DatasetInput, tasks: ReadonlyMap<string, DatasetInput>): Promise<Row> {
    const what = row.method === null ? model.name : `${row.method}, seed ${row.seed}`;
    const found = await this.#measured(what, model, text, tasks, row.method === null ? null : { modelId: this.#baseId });
    const measured = { ...row, model, ...found };
    this.#live.line(`${what}: perplexity ${found.text.result?.perplexity?.toFixed(2)}`);
    this.#keep(measured);
    return measured;
  }

  /** Trains what is left of a model with the texts that it was pruned with, and measures that too. */
  async #heal(
    row: Row,
    model: api.Model,
    { method, options }: NonNullable<Arguments["heal"]>,
    dataset: DatasetInput,
    text: DatasetInput,
    tasks: ReadonlyMap<string, DatasetInput>,
  ): Promise<void> {
    const what = `${row.method}, seed ${row.seed}, healed`;
    const input = { subject: { modelId: model.id }, method, dataset, options: { seed: row.seed, ...options } };
    const run = await api.heal(this.client, input, (p) => this.#live.update(`${what}: ${percent(p)} ...`));
    if (!run.resultModel) {
      this.#live.line(`${what}: the run ended ${run.status}: ${run.error?.message} [${run.error?.code}]`);
      return this.#keep({ ...row, healed: { run, text: null, tasks: {} } });
    }
    const left = await this.#compressed(what, run.resultModel, row.seed ?? 0, dataset);
    const found = await this.#measured(what, left, text, tasks, { modelId: this.#baseId });
    this.#live.line(`${what}: perplexity ${found.text.result?.perplexity?.toFixed(2)}`);
    this.#keep({ ...row, healed: { run, ...found } });
  }

  /** What is measured of a model: itself, or compressed if that was asked for. @throws EspalierError if it cannot be */
  async #compressed(what: string, model: api.Model, seed: number, dataset: DatasetInput): Promise<api.Model> {
    const { compress } = this.#args;
    if (compress === null) return model;
    const reads = (await api.readingMethods(this.client)).includes(compress.method);
    const input = { subject: { modelId: model.id }, ...compress, options: { seed }, ...(reads ? { dataset } : {}) };
    const run = await api.compress(this.client, input, (p) => this.#live.update(`${what}: compressing, ${percent(p)} ...`));
    if (run.resultModel) return run.resultModel;
    throw new EspalierError(run.error?.code ?? "NO_RESULT", `the compression of ${what} ended ${run.status}: ${run.error?.message}`);
  }

  async #measured(
    what: string,
    model: api.Model,
    text: DatasetInput,
    tasks: ReadonlyMap<string, DatasetInput>,
    against: { readonly modelId: string } | null,
  ): Promise<{ readonly text: api.Evaluation; readonly tasks: Readonly<Record<string, api.Evaluation>> }> {
    const { sequenceLength, maxTokens, items } = this.#args;
    const evaluate = (name: string, input: object) =>
      api.evaluate(this.client, { subject: { modelId: model.id }, measureSpeed: false, ...input }, (p) =>
        this.#live.update(`${what}: ${name}, ${percent(p)} ...`),
      );
    const found = {
      text: await evaluate("text", { dataset: text, sequenceLength, maxTokens, against }),
      tasks: {} as Record<string, api.Evaluation>,
    };
    for (const [name, dataset] of tasks) found.tasks[name] = await evaluate(name, { dataset, maxItems: items });
    return found;
  }

  /** By turns, so that what else the machine does weighs on all alike. */
  async #time(text: DatasetInput): Promise<void> {
    const speeds = new Map(this.rows.map((row): [typeof row, number[]] => [row, []]));
    for (let round = 1; round <= this.settings.rounds; round++)
      for (const [row, found] of speeds) {
        if (!row.model) continue;
        this.#live.update(`timing, round ${round} of ${this.settings.rounds}: ${row.method ?? row.model.name} ...`);
        const input = { subject: { modelId: row.model.id }, dataset: text, sequenceLength: 2, maxTokens: 1, measureSpeed: true };
        const { result } = await api.evaluate(this.client, input, () => {});
        found.push(result?.decodeTokensPerSecond ?? 0);
      }
    const timed = [...speeds].map(([row, found]) => ({
      ...row,
      decodeTokensPerSecond: found.length > 0 ? largest(found) : row.decodeTokensPerSecond,
    }));
    this.rows.splice(0, this.rows.length, ...timed);
    this.#write();
  }

  #keep(row: Row): void {
    const at = this.rows.findIndex((r) => r.method === row.method && r.seed === row.seed);
    if (at >= 0) this.rows[at] = row;
    else this.rows.push(row);
    this.#write();
  }

  /** After each row, so that nothing is lost. */
  #write(): void {
    const { out } = this.settings;
    mkdirSync(dirname(out), { recursive: true });
    const cells = tableOf(this.rows, this.#args.tasks.map(taskName));
    writeFileSync(`${out}.json`, `${JSON.stringify({ arguments: this.#args, rows: this.rows }, null, 2)}\n`);
    const notes = [...failuresOf(this.rows), ...leftOutOf(this.rows), ...removalsOf(this.rows)].map((line) => `- ${line}\n`);
    writeFileSync(`${out}.md`, `${markdown(cells)}\n${notes.length > 0 ? `\n${notes.join("")}` : ""}`);
  }
}

const emptyRow: Row = {
  method: null,
  seed: null,
  failure: null,
  run: null,
  model: null,
  text: null,
  tasks: {},
  decodeTokensPerSecond: null,
};

/** Compares, and prints and writes what came of it. An interruption ends it with the status 130; what is measured by then is kept. */
export async function compareMethods(settings: Settings): Promise<void> {
  const { arguments: args, data, out } = settings;
  const files = [args.calibration, args.text, ...args.tasks].filter(isFile);
  for (const file of [args.model, ...files]) if (!existsSync(file)) throw new EspalierError("USAGE", `there is no ${file}`);
  const datasetRoot = commonFolder(files);
  const began = performance.now();
  const interrupted = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  const server = await startServer({ dataDirectory: data, modelRoot: dirname(args.model), datasetRoot });
  const client = connect(`${server.url}/graphql`);
  try {
    const comparison = new Comparison(client, settings, datasetRoot);
    const ended = await Promise.race([
      comparison.run().then(() => "done" as const),
      interrupted.then(() => "interrupted" as const),
      server.failed,
    ]);
    if (ended === "interrupted") process.exitCode = 130;
    else {
      const cells = tableOf(comparison.rows, args.tasks.map(taskName));
      console.log(`\n${table(cells)}\n\nWritten to ${out}.md and .json in ${duration(performance.now() - began)}.`);
    }
  } finally {
    await client.close();
    await server.stop();
  }
}
