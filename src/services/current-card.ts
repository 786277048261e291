import { cardOfExport } from "../models/cards/card-of-export.ts";
import { cardFormat } from "../models/formats/card-format.ts";
import { cardFacts } from "../store/card-facts.ts";
import type { ExportRecord } from "../store/exports.ts";
import type { Store } from "../store/store.ts";
import { version } from "../version.ts";

/**
 * The card of an export as of now: what was measured since it was written is in it. Its README.md stays what it is, for the export's digest, which
 * is its revision too, is of all its files.
 *
 * @throws EspalierError MODEL_NOT_FOUND, ARTIFACT_MISSING
 */
export async function currentCard(
  { store, dataDirectory }: { readonly store: Store; readonly dataDirectory: string },
  { modelId, format, options, notes }: ExportRecord,
): Promise<string> {
  const facts = await cardFacts(store.prisma, modelId, version);
  const files = await cardOfExport(dataDirectory, facts, cardFormat({ ...options, format }, notes));
  return files["README.md"] as string;
}
