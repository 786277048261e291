import { openArtifacts } from "../../artifacts/artifacts.ts";
import { materialise } from "../../artifacts/model-files.ts";
import { told } from "../../finished.ts";
import { selfTexts } from "../../inference/self-texts.ts";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import { contentOf, recordsIn, serialise } from "../../text/dataset-content.ts";
import type { SelfTextOptions } from "../../text/self-text-options.ts";
import { loadTokenizer } from "../../text/tokenizer.ts";
import type { StoredModel, WritingEvent } from "../tasks.ts";

/**
 * Lets a model write texts by itself, and stores them as the records of a dataset.
 *
 * @returns the texts
 * @throws EspalierError what `selfTexts` throws
 */
export async function* writeTexts(
  model: StoredModel,
  options: SelfTextOptions,
  { seed, executionProvider }: { readonly seed: number; readonly executionProvider: ExecutionProvider },
): AsyncGenerator<WritingEvent, readonly string[]> {
  const folder = await materialise(model);
  const writing = selfTexts({ folder, executionProvider }, await loadTokenizer(folder, model.vocabularySize), options, seed);
  const { texts, tokens } = yield* told(writing, (written) => ({ type: "WRITING" as const, tokens: written, tokensTotal: options.tokens }));
  const content = contentOf(texts);
  const { sha256: digest, sizeBytes } = await (await openArtifacts(model.dataDirectory)).add(serialise(content));
  yield { type: "TEXTS", tokens, dataset: { form: "TEXT", digest, sizeBytes, recordCount: recordsIn(content) } };
  return texts;
}
