import { openArtifacts } from "../artifacts/artifacts.ts";
import type { ModelFile } from "../artifacts/model-files.ts";
import { EspalierError } from "../errors.ts";
import { formatNamed } from "../models/formats/formats.ts";
import { exportsByDigest, filesOfExports } from "../store/exports.ts";
import { modelFiles, modelsByDigest } from "../store/models.ts";
import { type Named, nameOfExport, repositoryOf } from "../store/repository-names.ts";
import type { Database, Store } from "../store/store.ts";

/** The one commit that a repository has, for what it holds never changes: 40 hexadecimal digits of its digest, as Git's have. */
export const commitOf = ({ digest }: Pick<Named, "digest">): string => digest.slice(0, 40);

/** Where a file is had, from the server's own address on. */
export const fileUrl = (of: Named, { path }: Pick<ModelFile, "path">): string =>
  `/${repositoryOf(of)}/resolve/main/${path.split("/").map(encodeURIComponent).join("/")}`;

/** Where the whole folder is had as a tar archive. */
export const archiveUrl = (of: Named): string => `/${repositoryOf(of)}/archive/main.tar`;

/** A repository: a model as it is served, or as an export wrote it. */
export interface PublishedModel {
  readonly id: string;
  /** `owner/name`. */
  readonly repository: string;
  readonly commit: string;
  readonly createdAt: Date;
  /** What loads it, and the tags that say so, as the Hub calls them. */
  readonly library: string;
  readonly tags: readonly string[];
  readonly files: readonly ModelFile[];
}

/** What may be meant by a repository's name: its files are looked up if it is. */
interface Candidate extends Omit<PublishedModel, "files" | "commit"> {
  readonly digest: string;
  files(): Promise<readonly ModelFile[]>;
}

async function candidates(db: Database, prefix: string): Promise<Candidate[]> {
  const models = (await modelsByDigest(db, prefix)).map((model): Candidate => {
    const { id, digest, createdAt } = model;
    const files = () => modelFiles(db, id);
    return { id, digest, createdAt, repository: repositoryOf(model), library: "onnx", tags: ["onnx"], files };
  });
  const exported = (await exportsByDigest(db, prefix)).map(({ exported: { id, digest, createdAt, format }, modelName }): Candidate => {
    const { library, tags } = formatNamed(format);
    const repository = repositoryOf({ name: nameOfExport({ format }, modelName), digest });
    return { id, digest, createdAt, repository, library, tags, files: async () => (await filesOfExports(db, [id]))[0] ?? [] };
  });
  return [...models, ...exported];
}

/**
 * The model or export that a repository is, at a revision: `main`, or its commit.
 *
 * @param repository `owner/name`. What stands before the digest is for people: a model that was renamed is found under its old name
 * @throws EspalierError MODEL_NOT_FOUND, REVISION_NOT_FOUND
 */
export async function publishedModel({ prisma }: Store, repository: string, revision: string): Promise<PublishedModel> {
  const [, prefix] = /^espalier\/(?:.*-)?([0-9a-f]{10})$/.exec(repository) ?? [];
  const found = prefix === undefined ? [] : await candidates(prisma, prefix);
  // Models of the same bytes are the same files.
  const isOne = new Set(found.map(({ digest }) => digest)).size === 1;
  const meant = found.find((each) => each.repository === repository) ?? (isOne ? found[0] : undefined);
  if (!meant) throw new EspalierError("MODEL_NOT_FOUND", `there is no model ${repository.slice(0, 200)}`, { repository });
  const commit = commitOf(meant);
  if (revision !== "main" && revision !== commit)
    throw new EspalierError("REVISION_NOT_FOUND", `a model never changes: it has the revision main, which is ${commit}`, { revision });
  const { digest: _, ...known } = meant;
  return { ...known, commit, files: await meant.files() };
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
