import * as ort from "onnxruntime-node";
import { EspalierError } from "../errors.ts";
import type { DataType, Dim, ValueInfo } from "../onnx/ir.ts";
import { type ConcreteProvider, type ExecutionProvider, resolveProvider } from "./providers.ts";
import { runtimeError } from "./runtime-error.ts";

export type TensorArray = Float32Array | Float64Array | Uint16Array | BigInt64Array | Int32Array | Uint8Array | Int8Array;

/** A tensor going in or coming out: float16 is a Uint16Array of its bits, bool a Uint8Array. */
export interface TensorValue<A extends TensorArray = TensorArray> {
  readonly dataType: DataType;
  readonly dims: readonly number[];
  readonly data: A;
}

/** A model file, or model bytes whose external data lies in `externalFolder`. */
export type ModelSource = { readonly path: string } | { readonly bytes: Uint8Array; readonly externalFolder?: string };

export interface SessionOptions {
  readonly executionProvider: ExecutionProvider;
  /** Threads within an operator; the number of physical cores unless told otherwise. */
  readonly threads?: number;
  /**
   * For graphs that run a few times, as scoring does: open at once, and use much less memory (no memory pattern, no weight copies in packed
   * form). On the CPU the graph runs as it is: to optimise a graph that is specialised already takes most of opening it, and gains nothing.
   */
  readonly lean?: boolean;
  /** Further ONNX Runtime options, for who only looks at a graph: the shape oracle, and registering. */
  readonly native?: ort.InferenceSession.SessionOptions;
}

const describe = (metadata: readonly ort.InferenceSession.ValueMetadata[]): ValueInfo[] =>
  metadata.map((m) => {
    if (!m.isTensor) throw new EspalierError("ONNX_RUNTIME", `value "${m.name}" is not a tensor`);
    return { name: m.name, dataType: m.type as DataType, shape: m.shape as readonly Dim[] };
  });

/**
 * A loaded model. `run` holds the thread for its whole length (ONNX Runtime's Node binding is synchronous), so
 * sessions belong in compute processes.
 */
export class Session {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];

  private constructor(
    readonly executionProvider: ConcreteProvider,
    private readonly native: ort.InferenceSession,
  ) {
    this.inputs = describe(native.inputMetadata);
    this.outputs = describe(native.outputMetadata);
  }

  /**
   * @throws EspalierError EXECUTION_PROVIDER_UNAVAILABLE if CUDA is asked for and cannot be had; ONNX_RUNTIME if the
   *   model does not load.
   */
  static async open(source: ModelSource, options: SessionOptions): Promise<Session> {
    const provider = await resolveProvider(options.executionProvider);
    const folder = "bytes" in source ? source.externalFolder : undefined;
    const session = {
      // The same feeds give the same bits: pruning must be repeatable.
      use_deterministic_compute: "1",
      // Threads that wait by spinning take the cores from the server and from other models.
      intra_op: { allow_spinning: "0" },
      ...(options.lean ? { disable_prepacking: "1" } : {}),
      ...(folder ? { model_external_initializers_file_folder_path: folder } : {}),
    };
    const { extra, ...native } = options.native ?? {};
    const settings: ort.InferenceSession.SessionOptions = {
      executionProviders: [provider.toLowerCase()],
      intraOpNumThreads: options.threads ?? 0,
      enableMemPattern: !options.lean,
      graphOptimizationLevel: options.lean && provider === "CPU" ? "disabled" : "all",
      logSeverityLevel: 3,
      ...native,
      extra: { session, ...extra },
    };
    try {
      const opened =
        "path" in source ? ort.InferenceSession.create(source.path, settings) : ort.InferenceSession.create(source.bytes, settings);
      return new Session(provider, await opened);
    } catch (cause) {
      throw runtimeError("load the model", cause);
    }
  }

  /** Runs the graph behind the outputs and gives those named, or all. */
  async run(
    feeds: Readonly<Record<string, TensorValue>>,
    outputs: readonly string[] = this.outputs.map((o) => o.name),
  ): Promise<Record<string, TensorValue>> {
    const tensors = Object.fromEntries(
      Object.entries(feeds).map(([name, t]) => [name, new ort.Tensor(t.dataType as "float32", t.data as Float32Array, t.dims)]),
    );
    try {
      const results = await this.native.run(tensors, outputs);
      return Object.fromEntries(
        outputs.map((name) => {
          const t = results[name] as ort.Tensor;
          return [name, { dataType: t.type as DataType, dims: t.dims, data: t.data as TensorArray }];
        }),
      );
    } catch (cause) {
      throw runtimeError("run the model", cause);
    }
  }

  close(): Promise<void> {
    return this.native.release();
  }
}

export const openSession = Session.open;
