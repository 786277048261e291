/** What S3 knows a client by. */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** When they must be asked for again. */
  readonly expiration?: Date;
}
export type FindCredentials = () => Promise<S3Credentials>;

let finder: FindCredentials | undefined;

/** Says where this process gets its credentials from. Without it they are found as AWS's tools find them, in the environment for instance. */
export function findCredentialsBy(find: FindCredentials): void {
  finder = find;
}

/** What was said; undefined where nothing was. */
export const givenFinder = (): FindCredentials | undefined => finder;

let here: Promise<FindCredentials> | undefined;

/** The credentials of this process, for another that has none in its environment. */
export async function findCredentials(): Promise<S3Credentials> {
  // One client, for it remembers what it found until that expires.
  here ??= import("@aws-sdk/client-s3").then(({ S3Client }) => new S3Client({ region: "us-east-1" }).config.credentials);
  return (await here)();
}
