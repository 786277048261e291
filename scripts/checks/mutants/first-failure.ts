/** A reporter of `node:test` that ends the process at the first test that fails, and names it: the rest would tell no more. */
export async function* firstFailure(events: AsyncIterable<{ readonly type: string; readonly data: unknown }>): AsyncGenerator<string> {
  for await (const { type, data } of events) {
    if (type !== "test:fail") continue;
    const { name } = data as { readonly name: string };
    process.stdout.write(`${name}\n`, () => process.exit(1));
    yield "";
  }
}
// biome-ignore lint/style/noDefaultExport: the form that node:test reads
export default firstFailure;
