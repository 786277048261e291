/** What a write gives on a full disk, beyond a quota and beyond the largest file allowed; and what PostgreSQL gives on its own. */
const noSpace: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "EFBIG", "53100"]);

/** DISK_FULL if that is why something was not written, whatever wraps the reason; else null. */
export function diskFull(error: unknown): EspalierError | null {
  for (let cause = error; typeof cause === "object" && cause !== null; ) {
    const { code, originalCode, meta, cause: inner } = cause as Record<string, unknown>;
    if (noSpace.has(code) || noSpace.has(originalCode))
      return new EspalierError("DISK_FULL", "a disk of the server is full: nothing more can be stored", {}, { cause: error });
    // Where Prisma keeps what the driver said.
    cause = inner ?? (meta as Record<string, unknown> | undefined)?.["driverAdapterError"];
  }
  return null;
}

/**
 * The one error class of the project: a literal code for programs, a sentence for people, fields for both.
 *
 * `code` is stable and reaches API clients as `extensions.code`; `details` reach them too, so they never
 * hold secrets or paths outside what the client itself named.
 */
export class EspalierError<Code extends string = string> extends Error {
  override readonly name = "EspalierError";

  constructor(
    readonly code: Code,
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
