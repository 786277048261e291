import { mkdtemp, rm } from "node:fs/promises";
import type { Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface S3rverOptions {
  readonly port: number;
  readonly address: string;
  readonly silent: boolean;
  readonly directory: string;
  readonly configureBuckets: readonly { readonly name: string }[];
}
// It has no types.
const S3rver = createRequire(import.meta.url)("s3rver") as new (
  options: S3rverOptions,
) => { run(): Promise<AddressInfo>; close(): Promise<void>; httpServer: Server };

export interface S3Server {
  /** For `ESPALIER_ARTIFACTS`. */
  readonly address: string;
  close(): Promise<void>;
}

/** A program that speaks S3, with an empty bucket, on the loopback interface. The environment gets the credentials it knows. */
export async function s3Server(): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), "espalier-s3-"));
  const server = new S3rver({ port: 0, address: "127.0.0.1", silent: true, directory, configureBuckets: [{ name: "models" }] });
  const { port } = await server.run();
  process.env["AWS_ACCESS_KEY_ID"] = "S3RVER";
  process.env["AWS_SECRET_ACCESS_KEY"] = "S3RVER";
  return {
    address: `s3://models/espalier?endpoint=http://127.0.0.1:${port}`,
    close: async () => {
      server.httpServer.closeAllConnections();
      await server.close();
      await rm(directory, { recursive: true });
    },
  };
}
