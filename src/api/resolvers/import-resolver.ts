import { Arg, Ctx, FieldResolver, Mutation, Resolver, Root } from "type-graphql";
import { startImport } from "../../services/start-import.ts";
import type { ImportRunRecord } from "../../store/imports.ts";
import type { Context } from "../context.ts";
import { Needs } from "../needs.ts";
import { originOf } from "../origin-of.ts";
import { ImportRun, StartImportInput, StartImportPayload } from "../types/import.ts";

@Resolver(() => ImportRun)
export class ImportResolver {
  @Needs("PRUNE")
  @Mutation(() => StartImportPayload, {
    description:
      "Makes a model of files: of a folder on the server, of an upload, or of a Hub. It waits for a worker; `runProgress` tells how it goes, file by file. What is wrong with the model fails the run with the reason, and nothing of it is kept. The same bytes are one model.",
  })
  async startImport(
    @Arg("input", () => StartImportInput, { description: "What to make a model of." }) { source, name, idempotencyKey }: StartImportInput,
    @Ctx() context: Context,
  ): Promise<{ run: ImportRunRecord }> {
    const request = { from: originOf(source), name: name ?? null, idempotencyKey: idempotencyKey ?? null };
    return { run: await startImport(context, request, context.caller) };
  }

  @FieldResolver(() => String, {
    description: "What its model is to be called. The same bytes are one model, under its first name: `resultModel` says which it is.",
  })
  name(@Root() { options: { name } }: ImportRunRecord): string {
    return name;
  }

  @FieldResolver(() => String, { description: "Where the files are: `path`, `upload` or `hub`, and which." })
  source(@Root() { options: { from } }: ImportRunRecord): string {
    if (from.kind === "PATH") return `path ${from.path}`;
    return from.kind === "UPLOAD" ? `upload ${from.uploadId}` : `hub ${from.repository}@${from.revision}`;
  }
}
