import { openArtifacts } from "../artifacts/artifacts.ts";
import type { ModelFile } from "../artifacts/model-files.ts";
import { EspalierError } from "../errors.ts";
import { type ModelRecord, modelFiles, modelsByDigest } from "../store/models.ts";
import type { Store } from "../store/store.ts";

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

/** A model as a repository of a Hub: its name in a Hub's alphabet, for people, and the beginning of its digest, which tells. */
export const repositoryOf = ({ name, digest }: Pick<ModelRecord, "name" | "digest">): string =>
  `${owner}/${slugOf(name)}-${digest.slice(0, digits)}`;

/** The one commit that a model's repository has, for a model never changes: 40 hexadecimal digits of its digest, as Git's have. */
export const commitOf = ({ digest }: Pick<ModelRecord, "digest">): string => digest.slice(0, 40);

/** Where a file of a model is had, from the server's own address on. */
export const fileUrl = (model: ModelRecord, { path }: Pick<ModelFile, "path">): string =>
  `/${repositoryOf(model)}/resolve/main/${path.split("/").map(encodeURIComponent).join("/")}`;

/** Where a model's folder is had as a tar archive. */
export const archiveUrl = (model: ModelRecord): string => `/${repositoryOf(model)}/archive/main.tar`;

export interface PublishedModel {
  readonly model: ModelRecord;
  readonly files: readonly ModelFile[];
}

/**
 * The model that a repository is, at a revision: `main`, or its commit.
 *
 * @param repository `owner/name`. What stands before the digest is for people: a model that was renamed is found under its old name
 * @throws EspalierError MODEL_NOT_FOUND, REVISION_NOT_FOUND
 */
export async function publishedModel({ prisma }: Store, repository: string, revision: string): Promise<PublishedModel> {
  const [, prefix] = /^espalier\/(?:.*-)?([0-9a-f]{10})$/.exec(repository) ?? [];
  const found = prefix === undefined ? [] : await modelsByDigest(prisma, prefix);
  // Models of the same bytes are the same files.
  const isOne = new Set(found.map(({ digest }) => digest)).size === 1;
  const model = found.find((each) => repositoryOf(each) === repository) ?? (isOne ? found[0] : undefined);
  if (!model) throw new EspalierError("MODEL_NOT_FOUND", `there is no model ${repository.slice(0, 200)}`, { repository });
  if (revision !== "main" && revision !== commitOf(model))
    throw new EspalierError("REVISION_NOT_FOUND", `a model never changes: it has the revision main, which is ${commitOf(model)}`, {
      revision,
    });
  return { model, files: await modelFiles(prisma, model.id) };
}

/**
 * Where a file of a model lies on this machine, fetched if need be.
 *
 * @throws EspalierError ARTIFACT_MISSING
 */
export async function placeOf(dataDirectory: string, { sha256, path }: ModelFile): Promise<string> {
  const place = await (await openArtifacts(dataDirectory)).path(sha256);
  if (place === null) throw new EspalierError("ARTIFACT_MISSING", `the file ${path} is not in the artifact store`, { path, sha256 });
  return place;
}
