import { Arg, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from "type-graphql";
import { dropUpload } from "../../jobs/import-source.ts";
import { numberAt } from "../../number-at.ts";
import { blaming } from "../../rules/validate.ts";
import { announceUpload, ownUpload, receivedBytes } from "../../services/uploads.ts";
import type { UploadRecord } from "../../store/uploads.ts";
import { listCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { Needs } from "../needs.ts";
import { CreateUploadInput, CreateUploadPayload, DeleteUploadInput, DeleteUploadPayload, Upload, UploadFile } from "../types/upload.ts";
import { uploadUrl } from "../upload-route.ts";

@Resolver(() => Upload)
export class UploadResolver {
  @Needs("PRUNE")
  @Query(() => Upload, { description: "An upload of the client's own: how much of it has come." })
  upload(@Arg("id", () => ID, { description: "Its identity." }) id: string, @Ctx() context: Context): Promise<UploadRecord> {
    return blaming("id", ownUpload(context, id, context.caller));
  }

  @Needs("PRUNE")
  @Mutation(() => CreateUploadPayload, {
    description:
      "Announces files that the client is going to send, each with `PUT` to its `url`. `startImport` makes a model of them, `registerDataset` a dataset of one.",
  })
  async createUpload(
    @Arg("input", () => CreateUploadInput, { description: "Which files." }) { files }: CreateUploadInput,
    @Ctx() context: Context,
  ): Promise<{ upload: UploadRecord }> {
    const announced = files.map(({ path, sizeBytes, sha256 }) => ({
      path,
      sizeBytes,
      sha256: sha256?.toLowerCase() ?? null,
    }));
    return { upload: await announceUpload(context, announced, context.caller) };
  }

  @Needs("PRUNE")
  @Mutation(() => DeleteUploadPayload, { description: "Deletes an upload and what has come of it." })
  async deleteUpload(
    @Arg("input", () => DeleteUploadInput, { description: "Which upload." }) { id }: DeleteUploadInput,
    @Ctx() context: Context,
  ): Promise<DeleteUploadPayload> {
    const upload = await blaming("input.id", ownUpload(context, id, context.caller));
    await dropUpload(context, upload.id);
    return { deletedId: id };
  }

  @FieldResolver(() => [UploadFile], { description: "Its files, as they were announced.", complexity: listCost })
  async files(@Root() upload: UploadRecord, @Ctx() { dataDirectory }: Context): Promise<UploadFile[]> {
    const received = await receivedBytes(dataDirectory, upload);
    return upload.files.map((file, i) => ({ ...file, receivedBytes: numberAt(received, i), url: uploadUrl(upload.id, file.path) }));
  }
}
