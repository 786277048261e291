import { EspalierError } from "../../errors.ts";
import { type DataType, isFloat, type Tensor } from "../../onnx/ir.ts";
import { tensorReader } from "../../onnx/read-tensor.ts";
import { floatsOf } from "../../onnx/tensors.ts";
import type { StoredTensor } from "./safetensors.ts";

const shapeOf = (dims: readonly number[]): string => `[${dims.join(", ")}]`;

const mismatch = (message: string, tensor: string, details: Record<string, unknown> = {}): EspalierError =>
  new EspalierError("WEIGHTS_MISMATCH", message, { tensor, ...details });

/** A model's stored tensors, and which of them a graph has taken. */
export class Weights {
  readonly #taken = new Set<string>();

  /**
   * @param folder that the files lie in
   * @param prefix of names, which files saved of the model without its head leave out
   * @param tied names of one tensor, of which files may hold either
   */
  constructor(
    private readonly stored: ReadonlyMap<string, StoredTensor>,
    private readonly folder: string,
    private readonly prefix: string,
    private readonly tied: readonly string[] = [],
  ) {}

  has = (name: string): boolean => this.#find(name) !== undefined;

  /** @throws EspalierError WEIGHTS_MISMATCH if there is none, or it is not of floats that a graph computes with */
  typeOf(name: string): DataType {
    const found = this.#need(name);
    return found.dataType as DataType;
  }

  /**
   * The tensor of that name, as external data where it lies.
   *
   * @throws EspalierError WEIGHTS_MISMATCH if it is not there, or of another shape or type than the configuration says
   */
  take(name: string, dims: readonly number[]): Tensor {
    const found = this.#need(name);
    if (found.dims.length !== dims.length || found.dims.some((d, i) => d !== dims[i]))
      throw mismatch(
        `${found.file}: tensor "${found.name}" has the shape ${shapeOf(found.dims)}, but by config.json it is ${shapeOf(dims)}`,
        name,
        { file: found.file, shape: found.dims, expected: dims },
      );
    this.#taken.add(found.name);
    const { file: location, offset, length } = found;
    return { name, dataType: found.dataType as DataType, dims, data: { kind: "external", location, offset, length } };
  }

  /** The elements of a small tensor. @throws EspalierError as `take`; MISSING_EXTERNAL_DATA */
  read(name: string, dims: readonly number[]): Float32Array {
    const tensor = this.take(name, dims);
    return floatsOf(tensor, tensorReader(this.folder)(tensor));
  }

  /**
   * Refuses a folder with weights that the graph has no place for: what they do would be left out without a word.
   *
   * @param idle names of what files may hold and no graph reads: tables that are worked out anew, masks
   * @throws EspalierError WEIGHTS_MISMATCH
   */
  requireAllTaken(idle: readonly RegExp[]): void {
    const left = [...this.stored.values()].filter(
      ({ name }) => !this.#taken.has(name) && !this.tied.includes(name) && !idle.some((pattern) => pattern.test(name)),
    );
    const [first] = left;
    if (first)
      throw mismatch(
        `${first.file}: tensor "${first.name}" ${shapeOf(first.dims)} has no place in the model that config.json describes` +
          (left.length > 1 ? `, nor have ${left.length - 1} others` : ""),
        first.name,
        { file: first.file, tensors: left.slice(0, 20).map((t) => t.name) },
      );
  }

  #find(name: string): StoredTensor | undefined {
    const names = this.tied.includes(name) ? [name, ...this.tied] : [name];
    const bare = (each: string) => (each.startsWith(this.prefix) ? each.slice(this.prefix.length) : each);
    return names.map((each) => this.stored.get(each) ?? this.stored.get(bare(each))).find((found) => found !== undefined);
  }

  #need(name: string): StoredTensor {
    const found = this.#find(name);
    if (!found) throw mismatch(`the model's safetensors hold no tensor "${name}", which config.json calls for`, name);
    if (found.dataType === null || !isFloat(found.dataType) || found.dataType === "float64")
      throw mismatch(
        `${found.file}: tensor "${found.name}" is of type ${found.stored}; weights of F32, F16 and BF16 are read. Quantised weights are not`,
        name,
        { file: found.file, type: found.stored },
      );
    return found;
  }
}
