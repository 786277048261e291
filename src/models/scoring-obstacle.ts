import { squaredNorms } from "../autodiff/ghost.ts";
import { lower } from "../autodiff/lower.ts";
import { withReadout } from "../autodiff/readout.ts";
import { buildScoreGraph } from "../autodiff/score-graph.ts";
import { EspalierError } from "../errors.ts";
import { type ModelTask, seesAll } from "../model-task.ts";
import type { Model } from "../onnx/ir.ts";
import { toFloat32 } from "../onnx/to-float32.ts";
import { specialise } from "../runtime/specialise.ts";
import { bindingOf } from "../signature/binding.ts";
import { signatureOf } from "../signature/signature.ts";
import type { Discovery } from "../structures/discover.ts";
import type { StructureGroup } from "../structures/structure.ts";

/** One pair of views, each of a few tokens: what is done to a graph does not depend on how many there are. */
const [batch, tokens] = [2, 8];

/**
 * What keeps gradients by the weights of a model's structures from being had, found by making the graph that scores them, as a run
 * does; null if nothing. No weight is read.
 */
export async function scoringObstacle(
  model: Model,
  { anatomy, parameters }: Discovery,
  structures: readonly StructureGroup[],
  task: ModelTask,
): Promise<EspalierError | null> {
  const wide = toFloat32(model);
  const names = [...new Set(structures.flatMap((s) => s.parameters))];
  try {
    const { mask } = signatureOf(wide.graph.inputs);
    const plain = await specialise(wide, bindingOf(wide, batch, tokens, [...parameters.keys()], seesAll(task)), [anatomy.logits]);
    const requests = names.map((parameter) => ({ parameter, axis: null }));
    // How it pools makes no difference to whether there is a gradient.
    const reads = task === "EMBEDDING" && mask;
    const pooling = { mode: "MEAN", normalize: true } as const;
    const { typed, readings } = reads
      ? withReadout(lower(plain), anatomy.logits, mask.name, pooling)
      : { typed: plain, readings: anatomy.logits };
    buildScoreGraph(typed, readings, requests, squaredNorms, batch, [], reads ? "READING" : "CROSS_ENTROPY");
    return null;
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    return new EspalierError(error.code, `the model can be served but not pruned: ${error.message}`, error.details, { cause: error });
  }
}
