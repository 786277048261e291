import { EspalierError } from "../../errors.ts";
import type { GraphBuilder, Value } from "../../onnx/builder.ts";
import type { OpenGroup } from "../open-groups.ts";

/**
 * What an expert adds to the others' sum, its weight included, by token.
 *
 * @param place in the group's `indexes`
 * @throws EspalierError UNSUPPORTED_PARAMETER_USE if it cannot be told apart
 */
export function expertOutput(b: GraphBuilder, { experts, kind, layer }: OpenGroup, place: number): Value {
  const own = experts?.own?.[place];
  if (own) return b.value(own.term);
  const together = experts?.found.together;
  if (!together)
    throw new EspalierError("UNSUPPORTED_PARAMETER_USE", `what the ${kind}s of layer ${layer} give cannot be told apart`, { kind, layer });
  const whole = b.value(together.value);
  const one = b.gather(whole, b.ints([place]), together.axis);
  return b.reshape(
    one,
    whole.shape.filter((_, i) => i !== together.axis),
  );
}
