import { mkdir, rm } from "node:fs/promises";
import { importModel } from "../../models/import/import-model.ts";
import type { Task } from "../child.ts";

export const importTask: Task<"import"> = async function* (request, signal) {
  await mkdir(request.scratch, { recursive: true, mode: 0o700 });
  try {
    return yield* importModel(request, signal);
  } finally {
    await rm(request.scratch, { recursive: true, force: true });
  }
};
