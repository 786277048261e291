import { EspalierError } from "../../errors.ts";
import type { Tensor } from "../../onnx/ir.ts";
import { floatsOf } from "../../onnx/tensors.ts";
import { inputMoments } from "./activity.ts";
import type { Gather } from "./evidence.ts";
import { alongAxis } from "./weights.ts";

/**
 * Of each head or channel: `Var(x_j) ||W_:j||2^2` of each input channel j that it has of the product which takes it to the
 * residual stream, x_j being that channel over all calibration tokens. Forward passes only.
 *
 * @throws EspalierError UNSUPPORTED_PARAMETER_USE if no plain product takes them there
 */
export const fluctuations: Gather<readonly number[]> = async function* (scene, groups) {
  const moments = yield* inputMoments(scene, [...new Set(groups.flatMap((g) => g.parts.map((p) => p.parameter)))]);
  const evidence = groups.map(({ kind, layer, indexes, parts }) => {
    const own = indexes.map((): number[] => []);
    for (const { parameter, axis, owners } of parts) {
      const found = moments.get(parameter);
      if (!found || found.axis !== axis) continue;
      const tensor = scene.model.graph.initializers.get(parameter) as Tensor;
      const squares = new Float64Array(owners.length);
      alongAxis(tensor, axis, floatsOf(tensor, scene.read(tensor)), (w, j) => {
        squares[j] = (squares[j] as number) + w * w;
      });
      for (const [j, owner] of owners.entries()) own[owner]?.push((found.variance[j] as number) * (squares[j] as number));
    }
    if (own.some((metrics) => metrics.length === 0))
      throw new EspalierError(
        "UNSUPPORTED_PARAMETER_USE",
        `no plain product takes what the ${kind}s of layer ${layer} give to the residual stream`,
        {
          kind,
          layer,
        },
      );
    return own;
  });
  return { evidence, loss: null, perturbedLoss: null };
};
