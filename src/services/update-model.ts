import { blaming, nameRule, requireAll, tagRules, textRule } from "../rules/validate.ts";
import { type ModelChanges, type ModelRecord, updateModel as updateRow } from "../store/models.ts";
import type { Store } from "../store/store.ts";

export const longestNote = 10_000;

/**
 * Changes what its users say of a model; what is undefined stays.
 *
 * @throws EspalierError BAD_USER_INPUT, MODEL_NOT_FOUND, with the argument at fault
 */
export async function updateModel({ prisma }: Store, id: string, changes: ModelChanges): Promise<ModelRecord> {
  const { name, note, tags } = changes;
  requireAll([...(name === undefined ? [] : [nameRule(name)]), textRule("input.note", note, longestNote), ...tagRules(tags)]);
  return blaming("input.id", updateRow(prisma, id, { ...changes, name: name?.trim() }));
}
