import { fail, type Given, type Value } from "./values.ts";

/**
 * What a function was given, by the names of its parameters.
 *
 * @throws TemplateError if it was given more, or one twice
 */
export function bound<Name extends string>(given: Given, ...names: readonly Name[]): Partial<Record<Name, Value>> {
  if (given.positional.length > names.length) fail(`takes ${names.length} arguments, and ${given.positional.length} were given`);
  const found: Partial<Record<string, Value>> = {};
  for (const [i, value] of given.positional.entries()) found[names[i] as string] = value;
  for (const [name, value] of given.named) {
    if (!(names as readonly string[]).includes(name)) fail(`got an unexpected keyword argument '${name}'`);
    if (name in found) fail(`got multiple values for argument '${name}'`);
    found[name] = value;
  }
  return found as Partial<Record<Name, Value>>;
}

export const needed = (value: Value | undefined, name: string): Value =>
  value ?? (value === null ? null : fail(`missing the argument '${name}'`));
