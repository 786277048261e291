import type { Client } from "../shared/client.ts";
import { connectTo } from "../shared/connect-to.ts";
import { bar, count, LiveLine, percent } from "../shared/display.ts";
import { followRun } from "../shared/follow-run.ts";
import { modelId } from "../shared/model-id.ts";
import { rename } from "../shared/rename.ts";

export interface PruneArguments {
  readonly model: string;
  readonly ratio: number;
  readonly kinds: readonly string[];
  /** The channels of all layers alike are a multiple of it. */
  readonly uniform: number | undefined;
  readonly method: string | undefined;
  readonly dataset: string;
  /** Of what is left; the server's own unless said. */
  readonly name: string | undefined;
}

interface Child {
  readonly id: string;
  readonly name: string;
  readonly parameterCount: number;
  readonly remarks: readonly string[];
}

type PruningEvent =
  | { readonly __typename: "PruningStarted"; readonly parameterCount: number; readonly targetParameterCount: number }
  | { readonly __typename: "PruningIterationCompleted"; readonly iteration: number; readonly parameterCount: number }
  | { readonly __typename: "PruningSucceeded"; readonly removedRatio: number; readonly resultModel: Child };

const start = "mutation Prune($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }";

const wanted = `... on PruningStarted { parameterCount targetParameterCount }
  ... on PruningIterationCompleted { iteration parameterCount }
  ... on PruningSucceeded { removedRatio resultModel { id name parameterCount remarks } }`;

/**
 * Prunes a model on a server, and prints what is left of it.
 *
 * @throws EspalierError USAGE; what the server says; the reason that the run failed for; CANCELLED
 */
export async function pruneOn(asked: PruneArguments, server: string): Promise<void> {
  const { model, ratio, kinds, uniform, method, dataset, name } = asked;
  const client = connectTo(server);
  const live = new LiveLine();
  try {
    const subject = { modelId: await modelId(client, model) };
    const alike = uniform === undefined ? {} : { uniform: { channelMultiple: uniform } };
    const options = { targetRatio: ratio, structureKinds: kinds, ...alike };
    const input = { subject, dataset: { name: dataset }, options, ...(method === undefined ? {} : { method }) };
    const { startPruning } = await client.request<{ startPruning: { run: { id: string } } }>(start, { input });
    const { child, removedRatio } = await follow(client, startPruning.run.id, live);
    await rename(client, child.id, name);
    live.line(`${name ?? child.name}: ${count(child.parameterCount)} parameters, ${percent(removedRatio)} fewer, id ${child.id}`);
    for (const remark of child.remarks) live.line(`  ${remark}`);
  } finally {
    await client.close();
  }
}

async function follow(client: Client, id: string, live: LiveLine): Promise<{ child: Child; removedRatio: number }> {
  let [whole, target] = [0, 0];
  for await (const event of followRun<PruningEvent>(client, id, wanted)) {
    if (event.__typename === "PruningStarted") [whole, target] = [event.parameterCount, event.targetParameterCount];
    if (event.__typename === "PruningIterationCompleted") {
      const share = whole > target ? (whole - event.parameterCount) / (whole - target) : 1;
      live.update(`${bar(share)} ${count(event.parameterCount)} parameters left after iteration ${event.iteration}`);
    }
    if (event.__typename === "PruningSucceeded") return { child: event.resultModel, removedRatio: event.removedRatio };
  }
  throw new Error("the progress of the run ended early");
}
