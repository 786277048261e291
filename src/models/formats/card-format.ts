import type { CardFormat } from "../cards/card.ts";
import type { ExportOptions } from "./export-model.ts";
import { formatNamed } from "./formats.ts";

/** What a card says of the format of an export. */
export function cardFormat({ format, ...options }: ExportOptions, notes: readonly string[]): CardFormat {
  const { name, library, tags } = formatNamed(format);
  // Without what is undefined, and without what says where it was computed.
  const asked = JSON.parse(JSON.stringify({ ...options, executionProvider: undefined }));
  return { name, library, tags, options: asked, notes };
}
