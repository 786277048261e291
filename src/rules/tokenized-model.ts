import type { ModelFile } from "../artifacts/model-files.ts";
import { EspalierError } from "../errors.ts";
import { getModel, type ModelRecord, modelFiles } from "../store/models.ts";
import type { Store } from "../store/store.ts";
import { blaming } from "./validate.ts";

/**
 * A model that text can be put to, and its files. One registered as a graph alone is told so at once, not by a job that fails.
 *
 * @throws EspalierError MODEL_NOT_FOUND, TOKENIZER_MISSING
 */
export async function tokenizedModel(
  { prisma }: Store,
  argument: string,
  modelId: string,
): Promise<{ model: ModelRecord; files: readonly ModelFile[] }> {
  const model = await blaming(argument, getModel(prisma, modelId));
  const files = await modelFiles(prisma, model.id);
  if (files.some(({ path }) => path === "tokenizer.json")) return { model, files };
  throw new EspalierError(
    "TOKENIZER_MISSING",
    `the model ${model.name} was registered without a tokenizer.json: no text can be put to it`,
    { argument },
  );
}
