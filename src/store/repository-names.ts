import type { ExportRecord } from "./exports.ts";
import type { ModelRecord } from "./models.ts";

/** Under which a Hub's clients find this server's models. */
const owner = "espalier";

/** So many digits of its digest tell a model from all others. */
const digits = 10;

/** A model's name in a Hub's alphabet. */
const slugOf = (name: string): string =>
  name
    .normalize("NFKD")
    .replace(/[^A-Za-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 60)
    .toLowerCase() || "model";

/** What is published as a repository of a Hub. */
export type Named = Pick<ModelRecord, "name" | "digest">;

/** What is published, as a repository of a Hub: its name in a Hub's alphabet, for people, and the beginning of its digest, which tells. */
export const repositoryOf = ({ name, digest }: Named): string => `${owner}/${slugOf(name)}-${digest.slice(0, digits)}`;

/** What an export is called: its model, and the format. */
export const nameOfExport = ({ format }: Pick<ExportRecord, "format">, modelName: string): string => `${slugOf(modelName)} ${format}`;
