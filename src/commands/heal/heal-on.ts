import { connectTo } from "../shared/connect-to.ts";
import { bar, count, LiveLine, percent } from "../shared/display.ts";
import { followRun } from "../shared/follow-run.ts";
import { modelId } from "../shared/model-id.ts";
import { rename } from "../shared/rename.ts";

export interface HealArguments {
  readonly model: string;
  readonly method: string | undefined;
  readonly steps: number | undefined;
  readonly dataset: string;
  /** Of the healed model; the server's own unless said. */
  readonly name: string | undefined;
}

type RecoveryEvent =
  | { readonly __typename: "RecoveryChecked"; readonly heldBackLoss: number; readonly run: { readonly progress: number } }
  | { readonly __typename: "RunSucceeded" };

interface Healed {
  readonly result: { readonly startLoss: number; readonly loss: number; readonly wonBackRatio: number | null };
  readonly resultModel: {
    readonly id: string;
    readonly name: string;
    readonly parameterCount: number;
    readonly remarks: readonly string[];
  };
}

const start = "mutation Heal($input: StartRecoveryInput!) { startRecovery(input: $input) { run { id } } }";

const wanted = "... on RecoveryChecked { heldBackLoss run { progress } }";

const healed = `query Healed($id: ID!) { run(id: $id) { resultModel { id name parameterCount remarks }
  ... on RecoveryRun { result { startLoss loss wonBackRatio } } } }`;

/**
 * Heals a model on a server, and prints what came of it.
 *
 * @throws EspalierError USAGE; what the server says; the reason that the run failed for; CANCELLED
 */
export async function healOn({ model, method, steps, dataset, name }: HealArguments, server: string): Promise<void> {
  const client = connectTo(server);
  const live = new LiveLine();
  try {
    const input = {
      subject: { modelId: await modelId(client, model) },
      dataset: { name: dataset },
      ...(method === undefined ? {} : { method }),
      ...(steps === undefined ? {} : { options: { steps } }),
    };
    const { id } = (await client.request<{ startRecovery: { run: { id: string } } }>(start, { input })).startRecovery.run;
    for await (const event of followRun<RecoveryEvent>(client, id, wanted))
      if (event.__typename === "RecoveryChecked")
        live.update(`${bar(event.run.progress)} loss ${event.heldBackLoss.toFixed(3)} of texts held back`);
    const { result, resultModel: child } = (await client.request<{ run: Healed }>(healed, { id })).run;
    await rename(client, child.id, name);
    const won = result.wonBackRatio === null ? "" : `, ${percent(result.wonBackRatio)} of what was lost is won back`;
    live.line(`${name ?? child.name}: ${count(child.parameterCount)} parameters, id ${child.id}`);
    live.line(`  loss of texts held back ${result.startLoss.toFixed(3)} -> ${result.loss.toFixed(3)}${won}`);
    for (const remark of child.remarks) live.line(`  ${remark}`);
  } finally {
    await client.close();
  }
}
