import type { Model } from "../../onnx/ir.ts";
import { widen } from "../../onnx/widen.ts";
import { anatomyOf } from "../../structures/anatomy.ts";
import type { Branch } from "../../structures/branches.ts";
import { isDivided } from "../../structures/structure.ts";
import type { OpenGroup } from "../open-groups.ts";
import type { Scene } from "./evidence.ts";

/** For each group that is a whole, the branches of it that are left in the model as it is now; none for one that is divided. */
export function branchesOf({ model, whole }: Scene, groups: readonly OpenGroup[]): (readonly Branch[])[] {
  const now = anatomyOf(model).places.filter((p) => p.kind !== "LAYER");
  const byOutput = new Map(now.flatMap((p) => p.branches.map((b) => [b.output, b] as const)));
  return groups.map((group) => {
    const place = isDivided(group) ? null : whole.anatomy.places.find((p) => p.kind === group.kind && p.index === group.indexes[0]);
    return (place?.branches ?? []).flatMap(({ output }) => byOutput.get(output) ?? []);
  });
}

/** The model in float32, giving some inner values too. */
export function withTrunk({ model }: Scene, values: readonly string[]): Model {
  const { flow } = anatomyOf(model);
  const wide = widen({ ...model, graph: flow.graph });
  const known = new Set(wide.graph.outputs.map((o) => o.name));
  const inner = [...new Set(values)].filter((name) => !known.has(name));
  const outputs = [...wide.graph.outputs, ...inner.map((name) => ({ name, dataType: "float32" as const, shape: null }))];
  return { ...wide, graph: { ...wide.graph, outputs } };
}
