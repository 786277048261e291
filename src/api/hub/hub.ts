import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { EspalierError } from "../../errors.ts";
import { isObject } from "../../is-object.ts";
import { type PublishedModel, placeOf, publishedModel } from "../../services/published-models.ts";
import type { Services } from "../context.ts";
import { headersOf, modelInfo, pathsInfo, refsOf, treeOf } from "./answers.ts";
import { type ArchiveEnding, archives, sendArchive } from "./send-archive.ts";
import { sendFile } from "./send-file.ts";

/** By which the Hub's clients tell what is missing. */
const errorCodes: Readonly<Record<string, string>> = {
  MODEL_NOT_FOUND: "RepoNotFound",
  REVISION_NOT_FOUND: "RevisionNotFound",
  FILE_NOT_FOUND: "EntryNotFound",
};

const largestForm = 1 << 20;

/** @throws EspalierError BAD_USER_INPUT */
function pathsIn(body: unknown): string[] {
  const stated = isObject(body) ? body["paths"] : undefined;
  const paths = typeof stated === "string" ? [stated] : stated;
  if (Array.isArray(paths) && paths.every((path) => typeof path === "string")) return paths;
  throw new EspalierError("BAD_USER_INPUT", "paths must be a list of paths", { argument: "paths" });
}

/** What a header may hold. */
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, "?");

interface Params {
  readonly owner: string;
  readonly name: string;
  readonly revision?: string;
  /** The path of a file or folder. */
  readonly "*"?: string;
}

/**
 * Answers the read API of the Hugging Face Hub for this server's models: with `HF_ENDPOINT=http://localhost:4000` its clients load them
 * as from the Hub. Each model is a repository with one commit. Its files, one by one and as an archive, are had here by everyone else too.
 */
export function serveHub(app: FastifyInstance, { store, dataDirectory }: Pick<Services, "store" | "dataDirectory">): void {
  type Answer = (published: PublishedModel, request: FastifyRequest, reply: FastifyReply, path: string) => unknown;
  const route = (url: string, answer: Answer, method: "POST" | readonly ["GET", "HEAD"] = ["GET", "HEAD"], on = app) =>
    on.route({
      url,
      method: method as "POST",
      config: { needs: "READ" },
      async handler(request, reply) {
        const { owner, name, revision = "main", "*": path = "" } = request.params as Params;
        try {
          const published = await publishedModel(store, `${owner}/${name}`, revision);
          headersOf(reply, published);
          return await answer(published, request, reply, path);
        } catch (error) {
          const missing = error instanceof EspalierError ? errorCodes[error.code] : undefined;
          if (missing) reply.headers({ "x-error-code": missing, "x-error-message": printable((error as Error).message) });
          throw error;
        }
      },
    });

  route("/api/models/:owner/:name", modelInfo);
  route("/api/models/:owner/:name/revision/:revision", modelInfo);
  route("/api/models/:owner/:name/refs", refsOf);
  // What is asked for is in a form, which this route alone takes: it changes nothing.
  app.register(async (scope) => {
    const parseAs = { parseAs: "string", bodyLimit: largestForm } as const;
    scope.addContentTypeParser<string>("application/x-www-form-urlencoded", parseAs, (_, body, done) =>
      done(null, { paths: new URLSearchParams(body).getAll("paths") }),
    );
    route("/api/models/:owner/:name/paths-info/:revision", (published, { body }) => pathsInfo(published, pathsIn(body)), "POST", scope);
  });
  const tree: Answer = (published, request, _reply, path) =>
    treeOf(published, path, /^(1|true)$/i.test(String((request.query as { recursive?: unknown }).recursive)));
  route("/api/models/:owner/:name/tree/:revision", tree);
  route("/api/models/:owner/:name/tree/:revision/*", tree);
  route("/:owner/:name/resolve/:revision/*", async (published, request, reply, path) => {
    const file = published.files.find((each) => each.path === path);
    if (!file) throw new EspalierError("FILE_NOT_FOUND", `the model has no file ${path.slice(0, 200)}`, { path });
    return sendFile(request, reply, file, await placeOf(dataDirectory, file));
  });
  for (const ending of Object.keys(archives) as ArchiveEnding[])
    route(`/:owner/:name/archive/:revision.${ending}`, (published, _request, reply) =>
      sendArchive(reply, published, dataDirectory, ending),
    );
}
