import * as ort from "onnxruntime-node";
import { EspalierError } from "../errors.ts";
import { encode } from "../onnx/encode.ts";
import { wordsOf } from "./runtime-error.ts";

// Every failure reaches us as an exception with the same words; ONNX Runtime need not print them as well.
ort.env.logLevel = "fatal";

export const executionProviders = ["AUTO", "CPU", "CUDA"] as const;
/** What a client asks for. AUTO takes CUDA where it can be had, else the CPU; what really ran is recorded. */
export type ExecutionProvider = (typeof executionProviders)[number];
/** What runs. */
export type ConcreteProvider = Exclude<ExecutionProvider, "AUTO">;

/** The smallest model: one Identity. Loading it on CUDA tells whether CUDA works, whatever the reason it may not. */
const probe = encode({
  irVersion: 8,
  opsets: { "": 17 },
  producerName: "espalier",
  producerVersion: "",
  metadata: {},
  graph: {
    name: "probe",
    inputs: [{ name: "x", dataType: "float32", shape: [1] }],
    outputs: [{ name: "y", dataType: "float32", shape: [1] }],
    initializers: new Map(),
    nodes: [{ name: "identity", opType: "Identity", domain: "", inputs: ["x"], outputs: ["y"], attributes: {} }],
    valueInfo: [],
  },
});

let asked: Promise<string | null> | undefined;

/** Why CUDA cannot be had in this process, in ONNX Runtime's words, or null if it can. Asked once: libraries do not come and go. */
export function cudaObstacle(): Promise<string | null> {
  asked ??= probeCuda();
  return asked;
}

async function probeCuda(): Promise<string | null> {
  try {
    const session = await ort.InferenceSession.create(probe, { executionProviders: ["cuda"] });
    await session.release();
    return null;
  } catch (cause) {
    return wordsOf(cause);
  }
}

/**
 * Settles what really runs. There is no silent fall-back: CUDA means CUDA.
 *
 * @throws EspalierError EXECUTION_PROVIDER_UNAVAILABLE if CUDA is asked for and cannot be had
 */
export async function resolveProvider(requested: ExecutionProvider): Promise<ConcreteProvider> {
  if (requested === "CPU") return "CPU";
  const reason = await cudaObstacle();
  if (reason === null) return "CUDA";
  if (requested === "AUTO") return "CPU";
  throw new EspalierError(
    "EXECUTION_PROVIDER_UNAVAILABLE",
    "CUDA was asked for but cannot be loaded. It needs Linux x64, an NVIDIA driver, and ONNX Runtime's CUDA provider with the CUDA and " +
      `cuDNN that it was built for; docs/cuda.md says how to install them. ONNX Runtime says: ${reason}`,
    { executionProvider: requested, reason },
  );
}
