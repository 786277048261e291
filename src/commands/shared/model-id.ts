import { EspalierError } from "../../errors.ts";
import type { Client } from "./client.ts";

const findModels = /* GraphQL */ `
  query FindModels($id: ID!, $name: String!) {
    model(id: $id) {
      id
    }
    models(first: 100, filter: { name: $name }) {
      nodes {
        id
        name
        repository
      }
    }
  }
`;

const usage = (message: string): never => {
  throw new EspalierError("USAGE", message);
};

/**
 * The id of a model that is named by its id, its name or its repository.
 *
 * @throws EspalierError USAGE if none is meant, or several
 */
export async function modelId(client: Client, model: string): Promise<string> {
  const { model: byId, models } = await client.request<{
    model: { id: string } | null;
    models: { nodes: { id: string; name: string; repository: string }[] };
  }>(findModels, { id: model, name: model.replace(/^espalier\//, "").replace(/-[0-9a-f]{10}$/, "") });
  if (byId) return byId.id;
  const { models: all } =
    models.nodes.length > 0 ? { models } : await client.request<{ models: typeof models }>(findModels, { id: model, name: "" });
  const named = all.nodes.filter(({ name, repository }) => name === model || repository === model);
  if (named.length > 1) usage(`${named.length} models are called "${model}": name one by its id (${named.map(({ id }) => id).join(", ")})`);
  return named[0]?.id ?? usage(`there is no model "${model}"`);
}
