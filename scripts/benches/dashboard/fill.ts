import type { Store } from "../../../src/store/store.ts";
import { sha256 } from "../../../test/support/records.ts";

/** So that parents come before their children, as they do where models are made. */
const idOf = (i: number) => `0192f000-0000-7000-8000-${i.toString(16).padStart(12, "0")}`;

/** A family of so many models, eight children each, every one made by a run and measured. */
export async function fillFamily(store: Store, many: number): Promise<void> {
  const places = Array.from({ length: many }, (_, i) => i);
  const parentOf = (i: number) => (i === 0 ? null : idOf(Math.floor((i - 1) / 8)));
  const architecture = { layers: 30, hiddenSize: 576, vocabularySize: 49_152, cache: [], contextLength: 8192, dataType: "float32" };
  await store.prisma.model.createMany({
    data: places.map((i) => ({
      ...{ id: idOf(i), name: `model ${i}`, digest: sha256(`${i}`), parentId: parentOf(i), opset: 21, operators: {}, architecture },
      ...{ sizeBytes: 4 * (134_000_000 - i * 1000), parameterCount: 134_000_000 - i * 1000 },
    })),
  });
  const over = { status: "SUCCEEDED" as const, progress: 1, startedAt: new Date(), finishedAt: new Date() };
  await store.prisma.run.createMany({
    data: places.slice(1).map((i) => ({
      ...{ ...over, kind: "PRUNING", method: "PIP", modelId: parentOf(i), resultModelId: idOf(i), options: {}, removedRatio: 0.2 },
    })),
  });
  await store.prisma.run.createMany({
    data: places.map((i) => ({
      ...{ ...over, kind: "EVALUATION", modelId: idOf(i), options: {}, comparisonKey: "a".repeat(64) },
      result: { perplexity: 20 + (i % 97), nextTokenAccuracy: 0.3, decodeTokensPerSecond: 40 },
    })),
  });
  // As autovacuum does soon after.
  await store.prisma.$executeRaw`ANALYZE`;
}
