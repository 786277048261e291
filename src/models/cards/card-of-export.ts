import { readFile } from "node:fs/promises";
import { openArtifacts } from "../../artifacts/artifacts.ts";
import { type CardFormat, cardOf, pictureFile } from "./card.ts";
import type { CardFacts } from "./facts.ts";
import { carriedOver } from "./licence.ts";
import { removedPicture } from "./removed-picture.ts";

/**
 * An export's card, and the picture that it shows, by their paths.
 *
 * @throws EspalierError ARTIFACT_MISSING
 */
export async function cardOfExport(dataDirectory: string, facts: CardFacts, format: CardFormat): Promise<Readonly<Record<string, string>>> {
  const place = facts.firstCard && (await (await openArtifacts(dataDirectory)).path(facts.firstCard.sha256));
  const licence = carriedOver(place === null ? "" : await readFile(place, "utf8"));
  const picture = removedPicture(facts.line);
  const card = cardOf(facts, format, licence, picture !== null);
  return { "README.md": card, ...(picture === null ? {} : { [pictureFile]: picture }) };
}
