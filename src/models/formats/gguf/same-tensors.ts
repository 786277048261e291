import { join } from "node:path";
import { EspalierError } from "../../../errors.ts";
import { sizeOf } from "../../../onnx/ir.ts";
import type { StoredTensor } from "../../blueprints/safetensors.ts";
import { storedWeights } from "../../blueprints/stored-weights.ts";
import { bytesOfElements, elementTypes, type TypeName } from "../../gguf/element-types.ts";
import type { QuantisationName } from "../../gguf/quantisation.ts";
import { Sources } from "../../gguf/write-plan.ts";

/** How far a tensor may be from the model's: the size of what they differ by, of its own. */
const bounds: Readonly<Record<QuantisationName, number>> = { AS_IS: 1e-3, F32: 1e-3, F16: 1e-2, Q8_0: 2e-2, Q4_0: 0.25, Q4_K_M: 0.25 };

/** How many elements are held at once. */
const chunk = 1 << 20;

/**
 * Proves that a file keeps a model's tensors: those that are read back from it are the model's, but for what its types round away.
 *
 * @param folder the model's weights
 * @param back what was read back
 * @throws EspalierError EXPORT_MISMATCH with the tensor
 */
export async function requireSameTensors(folder: string, back: string, quantisation: QuantisationName): Promise<void> {
  const [own, read] = await Promise.all([folder, back].map((root) => storedWeights({ root, folder: root })));
  const sources = new Sources();
  try {
    for (const [name, tensor] of own as ReadonlyMap<string, StoredTensor>) {
      const other = read?.get(name);
      const apart =
        other && String(other.dims) === String(tensor.dims) ? distance(sources, [folder, tensor], [back, other]) : Number.POSITIVE_INFINITY;
      if (apart <= bounds[quantisation]) continue;
      throw new EspalierError(
        "EXPORT_MISMATCH",
        `tensor "${name}" that is read back from the written file differs by ${apart} of its size, more than the ${bounds[quantisation]} of ${quantisation}. Nothing was stored`,
        { tensor: name, apart, allowed: bounds[quantisation] },
      );
    }
  } finally {
    sources.close();
  }
}

type Placed = readonly [folder: string, tensor: StoredTensor];

/** Root of the mean square of what two tensors differ by, of that of the first; of one that is all zeros, by itself. */
function distance(sources: Sources, a: Placed, b: Placed): number {
  const count = sizeOf(a[1].dims);
  let [squares, differences] = [0, 0];
  for (let from = 0; from < count; from += chunk) {
    const length = Math.min(chunk, count - from);
    const [x, y] = [a, b].map((placed) => elements(sources, placed, from, length)) as [Float32Array, Float32Array];
    for (let i = 0; i < length; i++) {
      squares += (x[i] as number) ** 2;
      differences += ((x[i] as number) - (y[i] as number)) ** 2;
    }
  }
  return Math.sqrt(differences / (squares || 1));
}

function elements(sources: Sources, [folder, { name, file, stored, dims, offset }]: Placed, from: number, length: number): Float32Array {
  const type = elementTypes[stored as TypeName];
  const bytes = new Uint8Array(bytesOfElements(type, length));
  sources.read({ name, path: join(folder, file), type, dims, offset }, bytes, offset + bytesOfElements(type, from));
  const values = new Float32Array(length);
  type.decode(bytes, values);
  return values;
}
