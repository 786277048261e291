import { type Random, seededRandom } from "../../../src/random.ts";
import { insertScores } from "../../../src/store/scores.ts";
import type { Store } from "../../../src/store/store.ts";
import { newModel, newRun } from "../../../test/support/records.ts";

export interface Filled {
  /** Roots of chains, of fans, and the last of each chain. */
  readonly modelIds: readonly string[];
  /** The run with scores. */
  readonly runId: string;
  readonly insertMs: number;
}

/** Copies one model `count` times, as children of the models given in turn, or as roots; with its files, and a run that made each. */
async function breed(store: Store, templateId: string, name: string, parents: readonly string[], count: number): Promise<string[]> {
  const rows = await store.prisma.$queryRaw<{ id: string; parentId: string | null }[]>`
    INSERT INTO "Model" (id, name, digest, "parentId", "sizeBytes", "parameterCount", opset, operators, architecture)
    SELECT uuidv7(), ${name} || ' ' || i, encode(sha256((${name} || i)::bytea), 'hex'),
      (${[...parents]}::uuid[])[1 + (i - 1) % greatest(1, cardinality(${[...parents]}::uuid[]))],
      "sizeBytes", "parameterCount", opset, operators, architecture
    FROM "Model" CROSS JOIN generate_series(1, ${count}::int) AS i WHERE id = ${templateId}::uuid
    RETURNING id, "parentId"`;
  const ids = rows.map((row) => row.id);
  await store.prisma.$executeRaw`
    INSERT INTO "ModelFile" ("modelId", path, sha256) SELECT m, path, sha256 FROM "ModelFile", unnest(${ids}::uuid[]) AS m WHERE "modelId" = ${templateId}::uuid`;
  const children = rows.filter((row) => row.parentId !== null);
  await store.prisma.$executeRaw`
    INSERT INTO "Run" (id, kind, "modelId", "resultModelId", status, method, options, "finishedAt")
    SELECT uuidv7(), 'PRUNING', base, result, 'SUCCEEDED', 'PIP', '{}', now()
    FROM unnest(${children.map((c) => c.parentId)}::uuid[], ${children.map((c) => c.id)}::uuid[]) AS c(base, result)`;
  return ids;
}

const uniform = (random: Random, count: number): number[] => Array.from({ length: count }, random);

/** 10,000 models in chains and fans, 50,000 runs, and one run of so many channels and iterations. */
export async function fillLineage(store: Store, channels: number, iterations: number): Promise<Filled> {
  const { id: template } = await newModel(store, "template");
  const chainRoots = await breed(store, template, "chain root", [], 100);
  let last: readonly string[] = chainRoots;
  for (let generation = 1; generation < 50; generation++) last = await breed(store, template, `link ${generation}`, last, 100);
  const fanRoots = await breed(store, template, "fan root", [], 10);
  await breed(store, template, "leaf", fanRoots, 4989);
  await store.prisma.$executeRaw`
    INSERT INTO "Run" (id, kind, "modelId", status, method, options)
    SELECT uuidv7(), 'PRUNING', id, (ARRAY['FAILED', 'CANCELLED', 'FAILED', 'CANCELLED'])[i]::"RunStatus", 'PIP', '{"executionProvider": "AUTO"}'
    FROM "Model", generate_series(1, 4) AS i`;
  await store.prisma.$executeRaw`
    UPDATE "Run" SET status = 'QUEUED' WHERE id IN (SELECT id FROM "Run" WHERE status = 'FAILED' ORDER BY id LIMIT 1000)`;
  const { prisma } = store;
  const missing = 50_000 - (await prisma.run.count());
  await prisma.$executeRaw`
    INSERT INTO "Run" (id, kind, "modelId", status, method, options)
    SELECT uuidv7(), 'PRUNING', ${template}::uuid, 'FAILED', 'PIP', '{}' FROM generate_series(1, ${missing}::int)`;

  const { id: runId } = await newRun(store);
  const random = seededRandom(1, "scores");
  const indexes = Array.from({ length: channels }, (_, i) => i);
  const begun = performance.now();
  for (let iteration = 0; iteration < iterations; iteration++)
    await prisma.$transaction((tx) => insertScores(tx, runId, iteration, [{ kind: "MLP", indexes, scores: uniform(random, channels) }]));
  const insertMs = (performance.now() - begun) / iterations;
  await prisma.$executeRaw`VACUUM ANALYZE`;
  return { modelIds: [...chainRoots, ...fanRoots, ...last], runId, insertMs };
}
