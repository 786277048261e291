import { once as next } from "node:events";
import { bundledModels } from "../../config.ts";
import { EspalierError } from "../../errors.ts";
import { type Client, connect } from "../shared/client.ts";
import { bar, count, duration, LiveLine, megabytes, percent, table } from "../shared/display.ts";
import { type Server, startServer } from "../shared/server.ts";
import * as api from "./operations.ts";

const prompt = "The whale and the Constitution of the United States";

const heading = (text: string): void => console.log(`\n${text}`);

async function register(client: Client): Promise<api.Model> {
  const model = await api.registerModel(client, "ahab", "ahab");
  console.log(`Registered ${model.name}: ${count(model.parameterCount)} parameters, ${model.architecture.layers} layers.`);
  return model;
}

async function prune(client: Client, model: api.Model): Promise<api.Model> {
  heading("Pruning it by PIP, down to 80% of its parameters:");
  const live = new LiveLine();
  const runId = await api.startPruning(client, model.id, "literature-train");
  let start = model.parameterCount;
  let target = start;
  let left = start;
  const shown = () => `${bar(start > target ? (start - left) / (start - target) : 0)} ${count(left)} left`;
  for await (const event of api.runProgress(client, runId)) {
    switch (event.__typename) {
      case "PruningStarted":
        start = event.parameterCount;
        target = event.targetParameterCount;
        live.line(`  on ${event.executionProvider}, from ${count(start)} to ${count(target)} parameters`);
        break;
      case "PruningScoring":
        live.update(`  ${shown()}  iteration ${event.iteration + 1}: scored ${event.samplesDone} of ${event.samplesTotal} samples`);
        break;
      case "PruningIterationCompleted": {
        left = event.parameterCount;
        const removed = event.removed.map((r) => `${r.kind} ${r.index} (score ${r.score.toPrecision(4)})`).join(", ");
        live.line(`  ${shown()}  iteration ${event.iteration + 1}: removed ${removed}, ${duration(event.estimatedMsLeft ?? 0)} to go`);
        break;
      }
      case "PruningSucceeded":
        live.line(`  ${percent(event.removedRatio)} of the parameters removed`);
        return event.resultModel;
      case "RunFailed":
        throw new EspalierError(event.error.code, `the pruning run failed: ${event.error.message}`);
      case "RunCancelled":
        throw new EspalierError("CANCELLED", "the pruning run was cancelled");
    }
  }
  throw new Error("the progress of the pruning run ended early");
}

async function heal(client: Client, model: api.Model): Promise<api.Model> {
  heading("Healing what is left, by distillation from the whole:");
  const live = new LiveLine();
  const runId = await api.startRecovery(client, model.id, "literature-train");
  for await (const event of api.healingProgress(client, runId)) {
    switch (event.__typename) {
      case "RecoveryStarted":
        live.line(
          `  training ${count(event.trainedParameterCount)} numbers; held-back loss ${event.heldBackLoss.toFixed(3)}, the whole model's ${event.teacherLoss.toFixed(3)}`,
        );
        break;
      case "RecoveryStepped":
        live.update(`  ${bar(event.step / event.steps)} step ${event.step} of ${event.steps}, ${duration(event.estimatedMsLeft)} to go`);
        break;
      case "RecoveryChecked":
        live.line(
          `  step ${event.step}: held-back loss ${event.heldBackLoss.toFixed(3)}, ${percent(event.wonBackRatio ?? 0)} of what was lost won back`,
        );
        break;
      case "RecoverySucceeded":
        return event.resultModel;
      case "RunFailed":
        throw new EspalierError(event.error.code, `the recovery run failed: ${event.error.message}`);
      case "RunCancelled":
        throw new EspalierError("CANCELLED", "the recovery run was cancelled");
    }
  }
  throw new Error("the progress of the recovery run ended early");
}

async function measure(client: Client, model: api.Model): Promise<api.Measurement> {
  const live = new LiveLine();
  live.update(`Evaluating ${model.name} on held-out text ...`);
  const began = performance.now();
  const measurement = await api.evaluate(client, model.id, "literature-heldout");
  live.line(
    `Evaluated ${model.name} on ${count(measurement.tokenCount)} tokens of held-out text in ${duration(performance.now() - began)}.`,
  );
  return measurement;
}

/** By turns, and the best of each, so that what else the machine does weighs on both alike. */
async function speeds(client: Client, models: readonly api.Model[]): Promise<number[]> {
  const best = models.map(() => 0);
  for (let round = 0; round < 5; round++)
    for (const [i, model] of models.entries()) best[i] = Math.max(best[i] ?? 0, await api.tokensPerSecond(client, model.id, prompt));
  return best;
}

interface Measured extends api.Model, api.Measurement {
  readonly speed: number;
}

function compare(before: Measured, after: Measured, healed: Measured): void {
  const relative = (a: number, b: number): string => `${b >= a ? "+" : ""}${percent(b / a - 1)}`;
  const row = (name: string, key: Exclude<keyof Measured, "architecture">, show: (n: number) => string): string[] => {
    const [a, b, c] = [Number(before[key]), Number(after[key]), Number(healed[key])];
    return [name, show(a), show(b), relative(a, b), show(c), relative(a, c)];
  };
  heading("Before, pruned and healed:");
  console.log(
    table([
      ["", before.name, after.name, "change", healed.name, "change"],
      row("parameters", "parameterCount", count),
      row("file size", "sizeBytes", megabytes),
      row("perplexity, held-out", "perplexity", (n) => n.toFixed(2)),
      row("next-token accuracy, held-out", "nextTokenAccuracy", percent),
      row("tokens/s, decoding", "speed", count),
    ]),
  );
}

async function complete(client: Client, model: api.Model): Promise<void> {
  heading(`${model.name} goes on from "${prompt}":`);
  process.stdout.write("  ");
  for await (const event of api.generate(client, model.id, prompt, 60)) {
    if (event.__typename === "GenerationDelta") process.stdout.write(event.text.replaceAll("\n", "\n  "));
    else if (event.__typename === "GenerationCompleted")
      console.log(`\n  (${event.summary.completionTokens} tokens, ${count(event.summary.tokensPerSecond)} tokens/s)`);
  }
}

async function showLineage(client: Client, model: api.Model): Promise<void> {
  heading("Lineage:");
  const { nodes, edges } = await api.lineage(client, model.id);
  const show = (id: string, depth: number): void => {
    const node = nodes.find((n) => n.id === id);
    if (!node) throw new Error(`the lineage names the model ${id} but does not hold it`);
    console.log(`  ${"  ".repeat(depth)}${depth > 0 ? "└ " : ""}${node.name}, ${count(node.parameterCount)} parameters, ${node.id}`);
    for (const edge of edges) if (edge.parent.id === id) show(edge.child.id, depth + 1);
  };
  for (const node of nodes) if (!edges.some((e) => e.child.id === node.id)) show(node.id, 0);
}

async function story(client: Client): Promise<void> {
  const original = await register(client);
  const before = await measure(client, original);
  const pruned = await prune(client, original);
  const after = await measure(client, pruned);
  const healed = await heal(client, pruned);
  const afterHealing = await measure(client, healed);
  const [speed = 0, speedAfter = 0, speedHealed = 0] = await speeds(client, [original, pruned, healed]);
  compare(
    { ...original, ...before, speed },
    { ...pruned, ...after, speed: speedAfter },
    { ...healed, ...afterHealing, speed: speedHealed },
  );
  for (const model of [original, pruned, healed]) await complete(client, model);
  await showLineage(client, pruned);
}

/**
 * Tells it all, and then leaves the server answering until Ctrl-C, unless it is told `once`.
 *
 * @param dataDirectory of the server, absolute
 */
export async function tell(dataDirectory: string, once: boolean): Promise<void> {
  const interrupted = Promise.race([next(process, "SIGINT"), next(process, "SIGTERM")]);
  const began = performance.now();
  const live = new LiveLine();
  live.update("Starting the server on its embedded PostgreSQL ...");
  const server: Server = await startServer({ dataDirectory, modelRoot: bundledModels, datasetRoot: bundledModels });
  live.line(`Watch it all in the dashboard: ${server.url}`);
  const client = connect(`${server.url}/graphql`);
  try {
    const ended = await Promise.race([
      story(client).then(() => "told" as const),
      interrupted.then(() => "interrupted" as const),
      server.failed,
    ]);
    if (ended === "told") {
      heading(`Done in ${duration(performance.now() - began)}.`);
      if (!once) {
        console.log(`The dashboard: ${server.url}. GraphQL, with GraphiQL for browsers: ${server.url}/graphql. Ctrl-C ends the server.`);
        await Promise.race([interrupted, server.failed]);
      }
    } else process.exitCode = 130;
  } finally {
    await client.close();
    await server.stop();
  }
}
