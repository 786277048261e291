import { mkdir, rm } from "node:fs/promises";
import { exportModel, exportObstacle } from "../../models/formats/export-model.ts";
import type { Task } from "../child.ts";

export const exportTask: Task<"export"> = async function* ({ scratch, ...request }) {
  await mkdir(scratch, { recursive: true, mode: 0o700 });
  try {
    const exported = yield* exportModel(request, scratch);
    return { exported, peakMemoryBytes: process.resourceUsage().maxRSS * 1024 };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};

// biome-ignore lint/correctness/useYield: a task without events
export const exportObstacleTask: Task<"exportObstacle"> = async function* (request) {
  const obstacle = await exportObstacle(request);
  return obstacle && { code: obstacle.code, message: obstacle.message, details: obstacle.details };
};
