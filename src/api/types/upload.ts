import { Field, ID, InputType, ObjectType } from "type-graphql";
import { bigInt, dateTime } from "../scalars.ts";

@ObjectType({ description: "A file of an upload." })
export class UploadFile {
  @Field(() => String, { description: "Its path in the model's folder." })
  readonly path!: string;

  @Field(() => bigInt, { description: "Its size in bytes, as it was announced." })
  readonly sizeBytes!: number;

  @Field(() => String, { nullable: true, description: "The sha256 that its bytes must have; null if none was announced." })
  readonly sha256!: string | null;

  @Field(() => bigInt, { description: "Bytes of it that have come." })
  readonly receivedBytes!: number;

  @Field(() => String, {
    description:
      "Where to send it with `PUT`, from this server's own address on. A piece of it says with `Content-Range` where it begins; `HEAD` tells in `Upload-Offset` how much is there.",
  })
  readonly url!: string;
}

@ObjectType({
  description:
    "Files that a client sends to make a model of, or a file for a dataset. It goes once it is one, or a day after the last of it came.",
})
export class Upload {
  @Field(() => ID, { description: "Its identity." })
  readonly id!: string;

  @Field(() => bigInt, { description: "Bytes of all its files." })
  readonly sizeBytes!: number;

  @Field(() => dateTime, { description: "When it was announced." })
  readonly createdAt!: Date;

  @Field(() => dateTime, { description: "When it goes, unless more of it comes before." })
  readonly expiresAt!: Date;
}

@InputType({ description: "A file that is to come." })
export class UploadFileInput {
  @Field(() => String, { description: "Its path in the model's folder, e.g. `config.json`; of a `.tar` or `.zip`, its name." })
  readonly path!: string;

  @Field(() => bigInt, { description: "Its size in bytes." })
  readonly sizeBytes!: number;

  @Field(() => String, { nullable: true, description: "The sha256 of its bytes, in hexadecimal. If it is said, it is checked." })
  readonly sha256?: string | null;
}

@InputType({ description: "What is to be sent: the files of a folder, or one archive of them." })
export class CreateUploadInput {
  @Field(() => [UploadFileInput], { description: "The files, 1 to 1,000." })
  readonly files!: UploadFileInput[];
}

@ObjectType({ description: "What `createUpload` gives." })
export class CreateUploadPayload {
  @Field(() => Upload, { description: "The upload: where to send what." })
  readonly upload!: Upload;
}

@InputType({ description: "Which upload to delete." })
export class DeleteUploadInput {
  @Field(() => ID, { description: "The upload." })
  readonly id!: string;
}

@ObjectType({ description: "What `deleteUpload` gives." })
export class DeleteUploadPayload {
  @Field(() => ID, { description: "The identity that the upload had." })
  readonly deletedId!: string;
}
