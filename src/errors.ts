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
