import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, paginateListObjectsV2, S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { EspalierError } from "../errors.ts";
import type { Artifacts, StoredArtifact } from "./artifacts.ts";
import type { Digest } from "./digests.ts";
import type { DirectoryArtifacts } from "./directory.ts";
import { givenFinder } from "./s3-credentials.ts";

const isAbsent = (error: unknown): boolean => (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 404;

/**
 * Artifacts as objects of S3-compatible storage, for workers on several machines. A machine keeps copies of those it has used in
 * a folder of its own, and believes none that it fetches before it has checked the digest.
 */
class S3Artifacts implements Artifacts {
  constructor(
    private readonly client: S3Client,
    private readonly bucket: string,
    private readonly prefix: string,
    private readonly copies: DirectoryArtifacts,
  ) {}

  private object(sha256: string) {
    return { Bucket: this.bucket, Key: this.prefix + sha256 };
  }

  async add(source: string | Uint8Array): Promise<{ sha256: string; sizeBytes: number }> {
    return this.send(await this.copies.add(source));
  }

  async take(path: string, known?: Digest): Promise<Digest> {
    return this.send(await this.copies.take(path, known));
  }

  private async send(added: { sha256: string; sizeBytes: number }): Promise<{ sha256: string; sizeBytes: number }> {
    if (!(await this.has(added.sha256))) {
      // In parts: a single request takes no more than 5 GB.
      const Body = createReadStream(this.copies.at(added.sha256));
      await new Upload({ client: this.client, params: { ...this.object(added.sha256), Body } }).done();
    }
    return added;
  }

  async path(sha256: string): Promise<string | null> {
    const copy = await this.copies.path(sha256);
    if (copy !== null) return copy;
    if (!(await this.has(sha256))) return null;
    const kept = await this.copies.keep(await this.read(sha256), sha256);
    if (kept.sha256 === sha256) return this.copies.at(sha256);
    throw new EspalierError("ARTIFACT_CORRUPT", `the stored bytes of ${sha256} have the sha256 ${kept.sha256}`, { sha256 });
  }

  async has(sha256: string): Promise<boolean> {
    try {
      await this.client.send(new HeadObjectCommand(this.object(sha256)));
      return true;
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
  }

  async read(sha256: string): Promise<Readable> {
    const { Body } = await this.client.send(new GetObjectCommand(this.object(sha256)));
    return Body as Readable;
  }

  async remove(sha256: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand(this.object(sha256)));
    await this.copies.remove(sha256);
  }

  async *list(): AsyncGenerator<StoredArtifact> {
    for await (const { Contents = [] } of paginateListObjectsV2({ client: this.client }, { Bucket: this.bucket, Prefix: this.prefix }))
      for (const { Key = "", Size = 0, LastModified = new Date() } of Contents) {
        const sha256 = Key.slice(this.prefix.length);
        if (/^[0-9a-f]{64}$/.test(sha256)) yield { sha256, sizeBytes: Size, modifiedAt: LastModified };
      }
  }
}

/**
 * Opens `s3://bucket/prefix`. Parameters of the address: `endpoint` for a service that is not AWS's own (its buckets are then
 * addressed by path), `region`. Credentials are found as AWS's tools find them, in the environment for instance; a compute process asks its parent.
 */
export function openS3(address: string, copies: DirectoryArtifacts): Artifacts {
  const { hostname, pathname, searchParams } = new URL(address);
  const endpoint = searchParams.get("endpoint");
  const region = searchParams.get("region") ?? (endpoint ? "us-east-1" : undefined);
  const credentials = givenFinder();
  const client = new S3Client({
    ...(credentials ? { credentials } : {}),
    ...(region ? { region } : {}),
    ...(endpoint ? { endpoint, forcePathStyle: true } : {}),
    // Our own digest proves the bytes; not every service knows the SDK's newer checksums.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
  const prefix = pathname.replace(/^\/+|\/+$/g, "");
  return new S3Artifacts(client, hostname, prefix === "" ? "" : `${prefix}/`, copies);
}
