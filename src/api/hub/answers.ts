import type { FastifyReply } from "fastify";
import type { ModelFile } from "../../artifacts/model-files.ts";
import type { PublishedModel } from "../../services/published-models.ts";

/** What a browser's page may read of an answer beside the body. */
const exposed = "etag, content-range, content-length, accept-ranges, x-repo-commit, x-linked-size, x-linked-etag, x-error-code";

/** Says of whatever is answered which commit it is of. What a model holds is not ours: no browser shows it as a page of this server. */
export function headersOf(reply: FastifyReply, { commit }: PublishedModel): FastifyReply {
  return reply.headers({
    "x-repo-commit": commit,
    "access-control-expose-headers": exposed,
    "content-security-policy": "default-src 'none'; sandbox",
  });
}

/** A model as the Hub's API tells of one (https://huggingface.co/docs/hub/api). */
export function modelInfo({ id, repository, commit, createdAt, library, tags, files }: PublishedModel) {
  return {
    _id: id,
    id: repository,
    modelId: repository,
    author: repository.split("/")[0],
    sha: commit,
    private: false,
    gated: false,
    disabled: false,
    tags,
    pipeline_tag: "text-generation",
    library_name: library,
    createdAt: createdAt.toISOString(),
    lastModified: createdAt.toISOString(),
    siblings: files.map(({ path, sizeBytes }) => ({ rfilename: path, size: sizeBytes })),
  };
}

/** Its one branch, as clients look up what `main` is. */
export const refsOf = ({ commit }: PublishedModel) => ({
  branches: [{ name: "main", ref: "refs/heads/main", targetCommit: commit }],
  converts: [],
  tags: [],
  pullRequests: [],
});

interface TreeEntry {
  readonly type: "file" | "directory";
  readonly oid: string;
  readonly size: number;
  readonly path: string;
  readonly lfs?: { readonly oid: string; readonly size: number; readonly pointerSize: number };
}

const fileEntry = ({ path, sha256, sizeBytes }: ModelFile): TreeEntry => ({
  type: "file",
  oid: sha256.slice(0, 40),
  size: sizeBytes,
  path,
  lfs: { oid: sha256, size: sizeBytes, pointerSize: 0 },
});

/** What lies in a folder of a model, or below it if asked for all: the folders first. */
export function treeOf({ commit, files }: PublishedModel, folder: string, all: boolean): TreeEntry[] {
  const within = folder === "" ? "" : `${folder.replace(/\/+$/, "")}/`;
  const below = files.filter(({ path }) => path.startsWith(within));
  const folders = new Set(
    below.flatMap(({ path }) => {
      const parts = path.slice(within.length).split("/").slice(0, -1);
      return parts.slice(0, all ? parts.length : 1).map((_, i) => within + parts.slice(0, i + 1).join("/"));
    }),
  );
  const isHere = ({ path }: ModelFile) => !path.slice(within.length).includes("/");
  return [
    ...[...folders].sort().map((path): TreeEntry => ({ type: "directory", oid: commit, size: 0, path })),
    ...below.filter((file) => all || isHere(file)).map(fileEntry),
  ];
}

/** Those of some paths that there are: files, and folders. */
export function pathsInfo(published: PublishedModel, paths: readonly string[]): TreeEntry[] {
  const wanted = new Set(paths.map((path) => path.replace(/^\/+|\/+$/g, "")));
  return treeOf(published, "", true).filter(({ path }) => wanted.has(path));
}
