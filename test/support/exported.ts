import { mkdtemp } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { materialise } from "../../src/artifacts/model-files.ts";
import { finished } from "../../src/finished.ts";
import { exportPruned } from "../../src/models/export.ts";
import { type ExportedModel, exportModel } from "../../src/models/formats/export-model.ts";
import { formatNamed } from "../../src/models/formats/formats.ts";
import type { WeightType } from "../../src/models/formats/weight-types.ts";
import { inspect, storeFolder } from "../../src/models/inspect.ts";
import { openStoredModel } from "../../src/models/stored-model.ts";
import type { InspectedModel } from "../../src/models/types.ts";
import type { StructureId } from "../../src/structures/structure.ts";

/** A folder as it is when it has been registered. */
export const stored = (dataDirectory: string, folder: string): Promise<InspectedModel> =>
  inspect({ dataDirectory, modelRoot: dirname(folder), path: basename(folder) });

/** What is left of a stored model without some structures. */
export async function childOf(dataDirectory: string, parent: InspectedModel, removed: readonly StructureId[]): Promise<InspectedModel> {
  const { model, folder, graph } = await openStoredModel({ dataDirectory, ...parent });
  const destination = await mkdtemp(join(dataDirectory, "child-"));
  await exportPruned({ model, folder, files: parent.files, removed, destination });
  return storeFolder(dataDirectory, destination, graph);
}

/** A stored model in a format: the folder, and what is known of it. */
export async function exported(
  dataDirectory: string,
  { digest, files, architecture }: InspectedModel,
  format: string,
  padding = false,
  weights: WeightType = formatNamed(format).weights[0],
): Promise<ExportedModel & { readonly folder: string }> {
  const model = { dataDirectory, digest, files, vocabularySize: architecture.vocabularySize };
  const destination = await mkdtemp(join(dataDirectory, "export-"));
  const result = await finished(exportModel({ model, options: { format, weights, padding } }, destination));
  return { ...result, folder: await materialise({ dataDirectory, ...result }) };
}
