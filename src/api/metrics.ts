import type { FastifyInstance } from "fastify";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Tasks } from "../compute/tasks.ts";
import { countRuns, longestWaitMs } from "../store/run-counts.ts";
import { listWorkers } from "../store/workers.ts";
import type { Services } from "./context.ts";
import type { StalledClients } from "./stalled-clients.ts";

type Event = Tasks["generate"]["event"];
type Summary = Extract<Event, { readonly summary: object }>["summary"];

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** What one server tells Prometheus of itself, and of the runs in its database. */
export class Metrics {
  private readonly registry = new Registry();
  private readonly active: Gauge;
  private readonly firstToken: Histogram;
  private readonly speed: Histogram;
  private readonly tokens: Counter<"of">;

  constructor({ store, generators }: Pick<Services, "store" | "generators">, stalled: StalledClients) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    const read = (name: string, help: string, collect: (gauge: Gauge<string>) => void | Promise<void>, labelNames: string[] = []) =>
      new Gauge({
        ...{ name, help, labelNames, registers },
        async collect() {
          this.reset();
          await collect(this);
        },
      });
    const { prisma } = store;
    read(
      "espalier_runs",
      "Runs in the database, by kind and status. Those that are QUEUED wait for a worker, or for the run whose result they work on.",
      async (gauge) => {
        for (const { kind, status, count } of await countRuns(prisma)) gauge.set({ kind, status }, count);
      },
      ["kind", "status"],
    );
    read(
      "espalier_queue_wait_seconds",
      "How long the run has waited that has waited longest for a worker; 0 if none waits.",
      async (gauge) => gauge.set((await longestWaitMs(prisma)) / 1000),
    );
    read("espalier_workers", "Workers that say that they live.", async (gauge) => gauge.set((await listWorkers(prisma)).length));
    read("espalier_subscriptions", "Operations that sockets and streams of events of this process carry.", (gauge) =>
      gauge.set(stalled.operations),
    );
    read("espalier_models_loaded", "Models that this process keeps loaded.", (gauge) => gauge.set(generators.usage().models));
    read("espalier_models_memory_bytes", "What those models may take of the memory.", (gauge) => gauge.set(generators.usage().bytes));
    read("espalier_models_memory_limit_bytes", "What models may take together.", (gauge) => gauge.set(generators.usage().limitBytes));

    this.active = new Gauge({ name: "espalier_generations_active", help: "Generations under way, loading included.", registers });
    this.firstToken = new Histogram({
      name: "espalier_time_to_first_token_seconds",
      help: "From a generation's request to its first token, of each text.",
      ...{ buckets: seconds, registers },
    });
    this.speed = new Histogram({
      name: "espalier_tokens_per_second",
      help: "Tokens written per second after the first, of each text.",
      ...{ buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000], registers },
    });
    this.tokens = new Counter({
      name: "espalier_tokens_total",
      help: "Tokens of prompts that were read, and tokens that were written.",
      ...{ labelNames: ["of"] as const, registers },
    });
    for (const of of ["prompt", "completion"]) this.tokens.inc({ of }, 0);
  }

  /** The same generation, of which is counted what it tells. */
  async *counted<Result>(steps: AsyncGenerator<Event, Result>): AsyncGenerator<Event, Result> {
    this.active.inc();
    try {
      for (let step = await steps.next(); ; step = await steps.next()) {
        if (step.done) return step.value;
        if ("summary" in step.value) this.written(step.value.summary);
        yield step.value;
      }
    } finally {
      this.active.dec();
      await steps.return(undefined as never);
    }
  }

  private written({ promptTokens, completionTokens, timeToFirstTokenMs, tokensPerSecond }: Summary): void {
    this.tokens.inc({ of: "prompt" }, promptTokens);
    this.tokens.inc({ of: "completion" }, completionTokens);
    if (completionTokens > 0) this.firstToken.observe(timeToFirstTokenMs / 1000);
    if (completionTokens > 1) this.speed.observe(tokensPerSecond);
  }

  /** Times what is answered over HTTP from here on, and answers at `/metrics` in the text format of Prometheus, to who may read. */
  serve(app: FastifyInstance): void {
    const requests = new Histogram({
      name: "espalier_http_request_duration_seconds",
      help: "Until a request over HTTP was answered, by route. Streams of events last as long as they are followed.",
      ...{ labelNames: ["method", "route", "status"], buckets: seconds, registers: [this.registry] },
    });
    app.addHook("onResponse", async ({ method, routeOptions: { url: route = "none" } }, { statusCode: status, elapsedTime }) =>
      requests.observe({ method, route, status }, elapsedTime / 1000),
    );
    app.get("/metrics", { config: { needs: "READ" } }, async (_request, reply) =>
      reply.header("content-type", this.registry.contentType).send(await this.registry.metrics()),
    );
  }
}
