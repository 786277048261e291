import { blaming, nameRule, type Requirement, requireAll, tagRules, textRule } from "../rules/validate.ts";
import { type DatasetChanges, type DatasetRecord, getDataset, updateDataset as updateRow } from "../store/datasets.ts";
import type { Store } from "../store/store.ts";
import { datasets } from "../text/datasets.ts";

export const longestDescription = 2000;

const isBuiltIn = (name: string | null | undefined): boolean => datasets.some((dataset) => dataset.name === name);

export type DatasetOrigin = "BUNDLED" | "REGISTERED" | "REQUEST";

export const originOfDataset = ({ name }: DatasetRecord): DatasetOrigin =>
  name === null ? "REQUEST" : isBuiltIn(name) ? "BUNDLED" : "REGISTERED";

/** The rules for a name that a user gives a dataset. */
export const datasetNameRules = (name: string): Requirement[] => [
  nameRule(name),
  ["input.name", !isBuiltIn(name.trim()), "must not be that of a dataset that comes with the server"],
];

/** @throws EspalierError DATASET_NOT_FOUND; BAD_USER_INPUT for a dataset that comes with the server */
export async function requireOwnDataset({ prisma }: Store, id: string): Promise<void> {
  const { name } = await blaming("input.id", getDataset(prisma, { id }));
  requireAll([["input.id", !isBuiltIn(name), "must not be that of a dataset that comes with the server"]]);
}

/**
 * Changes what its users say of a dataset; what is undefined stays.
 *
 * @throws EspalierError BAD_USER_INPUT, DATASET_NOT_FOUND, DATASET_NAME_TAKEN, with the argument at fault
 */
export async function updateDataset(store: Store, id: string, changes: DatasetChanges): Promise<DatasetRecord> {
  const { name, description, tags } = changes;
  requireAll([
    ...(name === undefined ? [] : datasetNameRules(name)),
    textRule("input.description", description, longestDescription),
    ...tagRules(tags),
  ]);
  await requireOwnDataset(store, id);
  return blaming("input.name", updateRow(store, id, { ...changes, name: name?.trim() }));
}
