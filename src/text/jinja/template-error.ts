/** What is wrong with a template, or what it refuses; `line` counts from 1. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";

  constructor(
    readonly reason: string,
    readonly line: number | null = null,
  ) {
    super(line === null ? reason : `${reason} (line ${line})`);
  }
}
