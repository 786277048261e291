import type { Model } from "../../onnx/ir.ts";
import { toFloat32 } from "../../onnx/to-float32.ts";
import { anatomyOf } from "../../structures/anatomy.ts";
import type { Branch } from "../../structures/branches.ts";
import { isDivided } from "../../structures/structure.ts";
import type { OpenGroup } from "../open-groups.ts";
import type { Scene } from "./evidence.ts";

/** The residual stream of a model as it is now, to which its structures add. */
export interface ResidualStream {
  /** For each group that is a whole, the branches of it that are left; none for one that is divided. */
  readonly branches: readonly (readonly Branch[])[];
  /** The model in float32, giving some inner values too, and some that are int64. */
  giving(values: readonly string[], integers?: readonly string[]): Model;
}

export function residualStreamOf({ model, whole }: Scene, groups: readonly OpenGroup[]): ResidualStream {
  const { flow, places } = anatomyOf(model);
  const left = places.filter((p) => p.kind !== "LAYER");
  const byOutput = new Map(left.flatMap((p) => p.branches.map((b) => [b.output, b] as const)));
  const branches = groups.map((group) => {
    const place = isDivided(group) ? null : whole.anatomy.places.find((p) => p.kind === group.kind && p.index === group.indexes[0]);
    return (place?.branches ?? []).flatMap(({ output }) => byOutput.get(output) ?? []);
  });
  return {
    branches,
    giving(values, integers = []) {
      const wide = toFloat32({ ...model, graph: flow.graph });
      const known = new Set(wide.graph.outputs.map((o) => o.name));
      const inner = [...new Set(values)].filter((name) => !known.has(name));
      const outputs = [
        ...wide.graph.outputs,
        ...inner.map((name) => ({ name, dataType: "float32" as const, shape: null })),
        ...integers.map((name) => ({ name, dataType: "int64" as const, shape: null })),
      ];
      return { ...wide, graph: { ...wide.graph, outputs } };
    },
  };
}
