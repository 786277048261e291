import * as ort from "onnxruntime-node";
import { encode } from "../onnx/encode.ts";
import type { Model } from "../onnx/ir.ts";
import { type ConcreteProvider, type ExecutionProvider, resolveProvider } from "./providers.ts";
import { runtimeError } from "./runtime-error.ts";
import type { TensorValue } from "./session.ts";

/** Tensors as ONNX Runtime takes them, over the caller's own memory: made once for many runs. */
export type Held = Readonly<Record<string, ort.Tensor>>;

export const hold = (values: Readonly<Record<string, TensorValue>>): Held =>
  Object.fromEntries(
    Object.entries(values).map(([name, t]) => [name, new ort.Tensor(t.dataType as "float32", t.data as Float32Array, t.dims)]),
  );

export interface InPlaceOptions {
  readonly executionProvider: ExecutionProvider;
  readonly threads?: number;
  /** Further ONNX Runtime options, for who measures; `extra` are those of the session. */
  readonly native?: ort.InferenceSession.SessionOptions;
}

/** An output that JavaScript cannot be given: an empty sequence. */
const stop = "in-place/stop";
const refusal = "Non tensor type is temporarily not supported";

/**
 * A model whose runs write into the caller's memory and copy nothing, not even a cache of gigabytes.
 *
 * ONNX Runtime's Node binding lets the caller give buffers for outputs, and the run writes into them; but afterwards the
 * binding copies every output into new memory as well, in the order of the outputs. An operator that extends a cache in
 * place must list it as an output, so each step would copy the cache. The binding gives up at the first output that is no
 * tensor: so such an output comes first, and its refusal, by which time all is written, is the sign of a good run. A
 * binding that knew sequences would go on and copy: slower, and no less right.
 */
export class InPlaceSession {
  private constructor(
    readonly executionProvider: ConcreteProvider,
    private readonly native: ort.InferenceSession,
  ) {}

  /**
   * @param folder where the model's external data lies
   * @throws EspalierError EXECUTION_PROVIDER_UNAVAILABLE; ONNX_RUNTIME if the model does not load
   */
  static async open(model: Model, folder: string, options: InPlaceOptions): Promise<InPlaceSession> {
    const provider = await resolveProvider(options.executionProvider);
    const { extra, ...native } = options.native ?? {};
    const { graph } = model;
    const nodes = [{ name: stop, opType: "SequenceEmpty", domain: "", inputs: [], outputs: [stop], attributes: {} }, ...graph.nodes];
    const bytes = encode({ ...model, graph: { ...graph, nodes, outputs: [] } }, [stop, ...graph.outputs.map((o) => o.name)]);
    try {
      const opened = await ort.InferenceSession.create(bytes, {
        executionProviders: [provider.toLowerCase()],
        intraOpNumThreads: options.threads ?? 0,
        logSeverityLevel: 4,
        ...native,
        extra: {
          session: {
            use_deterministic_compute: "1",
            // Long enough for what lies between two products, no longer: threads that wait on take cores from others.
            intra_op: { allow_spinning: "1", spin_duration_us: "20" },
            model_external_initializers_file_folder_path: folder,
            ...extra,
          },
        },
      });
      return new InPlaceSession(provider, opened);
    } catch (cause) {
      throw runtimeError("load the model", cause);
    }
  }

  /** Runs the graph; every output that is asked for is given a buffer of its exact shape. */
  async run(feeds: Held, into: Held): Promise<void> {
    try {
      await this.native.run(feeds, { [stop]: null, ...into });
    } catch (cause) {
      if (!(cause instanceof Error && cause.message.startsWith(refusal))) throw runtimeError("run the model", cause);
    }
  }

  close(): Promise<void> {
    return this.native.release();
  }
}
