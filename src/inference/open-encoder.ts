import { readLabels } from "../text/labels.ts";
import { readJson } from "../text/model-config.ts";
import { readPooling } from "../text/pooling.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { Encoder } from "./encoder.ts";
import type { LanguageModelOptions } from "./language-model.ts";
import type { ServedEncoder } from "./read-whole.ts";

/**
 * Opens a model that reads texts whole, with what the files beside it say of its classes and its pooling.
 *
 * @throws EspalierError what its tokenizer, its files and `Encoder.open` throw
 */
export async function openEncoder(options: LanguageModelOptions, vocabularySize = 0): Promise<ServedEncoder> {
  const { folder } = options;
  const [tokenizer, labels, pooling, config] = await Promise.all([
    loadTokenizer(folder, vocabularySize),
    readLabels(folder),
    readPooling(folder),
    readJson(folder, "config.json"),
  ]);
  const exclusive = config?.["problem_type"] !== "multi_label_classification";
  return { encoder: await Encoder.open(options), tokenizer, labels, exclusive, pooling };
}
