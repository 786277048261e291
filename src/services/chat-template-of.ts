import { readFile } from "node:fs/promises";
import { openArtifacts } from "../artifacts/artifacts.ts";
import { type ModelFile, requireFiles } from "../artifacts/model-files.ts";
import { readChatTemplate } from "../text/chat-template.ts";

/**
 * The chat template of a registered model, in Jinja; null if it has none. Of its files those are read that may hold one.
 *
 * @throws EspalierError ARTIFACT_MISSING, INVALID_JSON
 */
export const chatTemplateOf = (dataDirectory: string, files: readonly ModelFile[]): Promise<string | null> =>
  readChatTemplate(async (name) => {
    const file = files.find(({ path }) => path === name);
    if (!file) return null;
    await requireFiles(dataDirectory, [file]);
    return readFile((await (await openArtifacts(dataDirectory)).path(file.sha256)) as string, "utf8");
  });
