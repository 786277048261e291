import type { Client } from "./client.ts";

/** Calls a model something else; nothing if nothing was asked for. */
export async function rename(client: Client, id: string, name: string | undefined): Promise<void> {
  if (name === undefined) return;
  await client.request("mutation Rename($input: UpdateModelInput!) { updateModel(input: $input) { model { id } } }", {
    input: { id, name },
  });
}
