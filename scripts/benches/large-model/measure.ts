import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { nodeArguments } from "../../../test/support/checkout.ts";
import { makeModel } from "./make.ts";
import type { StepResult } from "./step.ts";

export interface Measured {
  readonly layers: number;
  readonly bytes: number;
  readonly register: StepResult;
  readonly prune: StepResult;
  readonly remove: StepResult;
  readonly registerRest: StepResult;
  readonly cut: StepResult;
}

const step = (...args: readonly string[]): StepResult =>
  JSON.parse(
    execFileSync(process.execPath, [...nodeArguments("scripts/benches/large-model/step"), ...args], { encoding: "utf8" }),
  ) as StepResult;

/** Makes a model of about that size in an empty folder, registers it, prunes it, cuts heads and channels off, removes layers, registers what is left; deletes it all. */
export function measure(folder: string, size: number): Measured {
  const [model, data, rest] = ["model", "data", "rest"].map((name) => join(folder, name)) as [string, string, string];
  const { layers, bytes } = makeModel(model, size);
  const register = step("register", data, model);
  rmSync(data, { recursive: true });
  const prune = step("prune", model);
  const cut = step("cut", model, rest);
  rmSync(rest, { recursive: true });
  const remove = step("remove", model, rest);
  rmSync(model, { recursive: true });
  const registerRest = step("register", data, rest);
  for (const path of [data, rest]) rmSync(path, { recursive: true });
  return { layers, bytes, register, prune, remove, registerRest, cut };
}
