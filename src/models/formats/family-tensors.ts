import { EspalierError } from "../../errors.ts";
import type { DataType } from "../../onnx/ir.ts";
import { type Place, placesOf, type Segments } from "../blueprints/places.ts";
import type { FamilyModel } from "./family-model.ts";
import type { FoundLayer } from "./found-weights.ts";
import { type Matrix, widened, zeros } from "./matrix.ts";

/** A tensor of a family's files, and its elements. */
export interface FamilyTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly matrix: Matrix;
}

const total = (segments: Segments): number => segments.reduce((a, b) => a + b, 0);

const matrixAxes = ({ axes }: Place): readonly [Segments, Segments] => {
  const [first = [1], second] = axes;
  return second ? [first, second] : [[1], first];
};

/**
 * All tensors that a family's files hold, as wide as its configuration says.
 *
 * @throws EspalierError EXPORT_UNSUPPORTED with the tensor, if the graph has none such, or has weights that the family has no place for
 */
export function familyTensors({ family, blueprint, own, weights }: FamilyModel): FamilyTensor[] {
  const refuse = (message: string, tensor: string): never => {
    throw new EspalierError("EXPORT_UNSUPPORTED", message, { tensor, family: family.modelType });
  };
  const [target, narrow] = [placesOf(blueprint), placesOf(own)];
  const narrowOf = (places: readonly Place[]) => new Map(places.map((place) => [place.name, place]));
  const embedding = weights.matrix(target.around[0] as Place);
  const type: DataType = embedding?.dataType ?? "float32";

  const tensorOf = (place: Place, ownPlace: Place | undefined, found: Matrix | null, mayLack: boolean): FamilyTensor => {
    const axes = matrixAxes(place);
    const [rows, columns] = [total(axes[0]), total(axes[1])];
    const dims = place.axes.map(total);
    const { name } = place;
    if (!found || !ownPlace) {
      if (!mayLack && ownPlace) return refuse(`the graph has nothing that is "${name}", which ${family.name}'s class looks for`, name);
      return { name, dims, matrix: zeros(rows, columns, type) };
    }
    const there = matrixAxes(ownPlace);
    if (found.rows !== total(there[0]) || found.columns !== total(there[1]))
      return refuse(
        `what the graph has of "${name}" is [${found.rows}, ${found.columns}], where config.json speaks of [${total(there[0])}, ${total(there[1])}]`,
        name,
      );
    return { name, dims, matrix: widened(found, there, axes) };
  };

  const tensors = target.around.map((place, i) => tensorOf(place, narrow.around[i], weights.matrix(place), false));
  for (const [i, layer] of target.layers.entries()) {
    const found = weights.layers[i] as FoundLayer;
    for (const branch of ["attention", "mlp"] as const) {
      const ownPlaces = narrowOf(narrow.layers[i]?.[branch] ?? []);
      for (const place of layer[branch]) {
        // A norm that both branches share is there as long as one of them is.
        const matrix = found.matrix(place, branch);
        const isAdded = weights.compensated.length > 0 && place.name.endsWith(".bias");
        tensors.push(tensorOf(place, ownPlaces.get(place.name), matrix, found[branch] === null || isAdded));
      }
    }
  }
  const [left] = weights.left();
  if (left !== undefined) refuse(`the graph's weight "${left}" has no place in ${family.name}'s files`, left);
  return tensors;
}
