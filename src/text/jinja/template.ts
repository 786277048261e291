import { parse } from "./parser.ts";
import { render } from "./render.ts";
import { TemplateError } from "./template-error.ts";
import { fromData } from "./values.ts";

/** Writes what a template makes of plain data. @throws TemplateError */
export type Template = (data: Readonly<Record<string, unknown>>) => string;

/**
 * Jinja as Hugging Face renders chat templates: blocks trimmed, an immutable sandbox, `tojson`, `raise_exception`, `strftime_now`,
 * `generation`, `break` and `continue`. What it costs is bounded (limits.ts).
 *
 * @throws TemplateError where it is no Jinja, or needs what is not supported
 */
export function template(source: string): Template {
  const body = shallow(() => parse(source));
  return (data) => shallow(() => render(body, new Map(Object.entries(data).map(([name, value]) => [name, fromData(value)]))));
}

/** A stack that overflows is what the template nests too deeply. */
function shallow<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) throw new TemplateError("it is nested too deeply");
    throw error;
  }
}
