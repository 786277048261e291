import { addRow } from "../algebra/vectors.ts";
import { productsOf } from "../autodiff/products.ts";
import { EspalierError } from "../errors.ts";
import { tensorReader } from "../onnx/read-tensor.ts";
import { hold } from "../runtime/in-place.ts";
import type { ConcreteProvider } from "../runtime/providers.ts";
import { anatomyOf } from "../structures/anatomy.ts";
import { correction, type Moments, missingAfter } from "./correction.ts";
import { beside, commonFolder, forwardOf, type Located, namedFrom, unfused } from "./forward.ts";
import { asInputs } from "./methods/as-inputs.ts";
import type { Beside, ClosedForm, Fit, Pair } from "./methods/method.ts";
import type { RecoveryOptions } from "./options.ts";
import { Pass } from "./pass.ts";
import { Sums } from "./sums.ts";
import type { TextBatch } from "./texts.ts";
import { buildLossGraph } from "./training-graph.ts";
import { jointsOf } from "./trunk.ts";
import { wholeOfModel } from "./whole.ts";

/** What a solver is opened on. */
export interface SolverSetting {
  readonly subject: Located;
  readonly teacher: Located;
  readonly method: ClosedForm;
  readonly options: RecoveryOptions;
  readonly executionProvider: ConcreteProvider;
}

/** A model and its teacher in one graph, in which the weights that are solved for are inputs: what is solved for is in place for the next run. */
export class Solver {
  private constructor(
    /** Of all weights that may change, by parameter: as they are now, in float32. */
    readonly weights: ReadonlyMap<string, Float32Array>,
    /** What is to be fitted, in order. */
    readonly rounds: readonly (readonly Fit[])[],
    private readonly measuring: Pass,
    private readonly openSums: (fits: readonly Fit[]) => Promise<Sums>,
  ) {}

  /** @throws EspalierError NOTHING_TO_SOLVE, TEACHER_DIFFERS, UNSUPPORTED_OPERATOR, ONNX_RUNTIME */
  static async open({ subject, teacher, method, options, executionProvider }: SolverSetting): Promise<Solver> {
    const { model, folder } = subject;
    const whole = await wholeOfModel(model, folder, method.divides ?? false);
    const its = anatomyOf(teacher.model);
    const models: Beside = { own: model, its: teacher.model, whole, joints: jointsOf(whole.anatomy, its) };
    const parameters = method.parameters(models);
    if (parameters.length === 0)
      throw new EspalierError(
        "NOTHING_TO_SOLVE",
        `there is nothing that ${method.name} could solve for: it asks that, beside the teacher, ${method.asksFor}`,
      );
    const shape = [options.batchSize, options.sequenceLength] as const;
    const at = (of: "own" | "its") => models.joints.map((j) => j[of]);
    const mine = await forwardOf(unfused(model, whole.anatomy), [...whole.parameters.keys()], shape, at("own"));
    const other = await forwardOf(unfused(teacher.model, its), parameters, shape, at("its"));
    const root = commonFolder([folder, teacher.folder]);
    const subjectOf = { whole, initializers: model.graph.initializers, read: tensorReader(folder), options };
    const prepared = asInputs({ ...subjectOf, forward: namedFrom(mine.typed, folder, root) }, parameters);
    const two = beside({ ...mine, typed: prepared.forward }, { ...other, typed: namedFrom(other.typed, teacher.folder, root) });
    const products = productsOf(mine.typed, parameters);
    const pair: Pair = { ...models, products, itsProducts: productsOf(other.typed, parameters), itsName: two.nameOf };
    const values = new Map(prepared.trained.map((t) => [t.name, Float32Array.from(t.initial(noChance))]));
    const held = hold(
      Object.fromEntries(
        prepared.trained.map(({ name, shape: dims }) => [name, { dataType: "float32", dims, data: values.get(name) as Float32Array }]),
      ),
    );
    const tokens = [...new Map([mine.tokens, two.teacher.tokens].map((t) => [t.name, t])).values()];
    const loss = buildLossGraph(prepared.forward, mine.logits);
    return new Solver(
      new Map(prepared.merged((name) => values.get(name) as Float32Array)),
      method.rounds(pair),
      await Pass.open(model, loss, root, [mine.tokens], held, {}, executionProvider),
      (fits) => Sums.open(model, { typed: two.typed, tokens, root }, fits, held, shape[0] * shape[1], executionProvider),
    );
  }

  /** What sums the moments of fits, with all weights as they are now. */
  sums(fits: readonly Fit[]): Promise<Sums> {
    return this.openSums(fits);
  }

  /**
   * Solves for what is fitted, and puts it in place where it does better on texts that were held back.
   *
   * @returns of what was missing there, the share that is left; 1 where the weights stay as they are
   */
  solve(fit: Fit, own: Moments, heldBack: Moments): number {
    const found = correction(own, fit.rows);
    const { missing } = heldBack;
    const after = found ? missingAfter(heldBack, found, fit.rows) : missing;
    if (found === null || !(after < missing)) return 1;
    change(this.weights.get(fit.parameter) as Float32Array, fit, found);
    return after / missing;
  }

  /** The mean loss of batches, in nats per token, with the weights as they are now. */
  measure(batches: readonly TextBatch[]): Promise<number> {
    return this.measuring.sum(batches);
  }

  close(): Promise<void> {
    return this.measuring.close();
  }
}

/** Weights begin as they are. */
const noChance = () => 0;

/** Writes what was solved for into a weight. */
function change(weights: Float32Array, { axis, rows, columns, solvesFor }: Fit, found: Float64Array): void {
  const inputs = weights.length / columns;
  const at = (i: number, j: number) => (axis === 0 ? i * columns + j : j * inputs + i);
  if (solvesFor === "CHANGE") {
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) weights[at(i, j)] = (weights[at(i, j)] as number) + (found[i * columns + j] as number);
    return;
  }
  const row = new Float64Array(columns);
  for (let i = 0; i < inputs; i++) {
    row.fill(0);
    for (let k = 0; k < columns; k++) addRow(row, weights[at(i, k)] as number, found, k * columns);
    for (let j = 0; j < columns; j++) weights[at(i, j)] = (weights[at(i, j)] as number) + (row[j] as number);
  }
}
