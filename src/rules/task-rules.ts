import { EspalierError } from "../errors.ts";
import type { ModelTask } from "../model-task.ts";
import { methodNamed } from "../pruning/methods/index.ts";
import { judgedBy } from "../pruning/methods/method.ts";
import type { DatasetForm } from "../text/dataset-content.ts";
import { type Requirement } from "./validate.ts";

/**
 * Requires of a model that its task is one of these.
 *
 * @param what is asked of it, as people say it: "write texts"
 * @throws EspalierError WRONG_TASK, with the model's task
 */
export function requireTask(task: ModelTask, tasks: readonly ModelTask[], what: string, argument?: string): void {
  if (tasks.includes(task)) return;
  throw new EspalierError("WRONG_TASK", `a model of the task ${task} cannot ${what}: that takes one of ${tasks.join(" or ")}`, {
    ...(argument ? { argument } : {}),
    task,
    tasks,
  });
}

/** What a model of a task is pruned with, and what of a method's evidence it can give. */
const pruned: Readonly<
  Record<ModelTask, { readonly form: DatasetForm; readonly gives: readonly ReturnType<typeof judgedBy>[]; readonly why: string }>
> = {
  CAUSAL_LM: { form: "TEXT", gives: ["LOSS", "GRADIENT", "NOTHING"], why: "" },
  MASKED_LM: { form: "TEXT", gives: ["LOSS", "GRADIENT", "NOTHING"], why: "" },
  CLASSIFICATION: { form: "LABELLED", gives: ["LOSS", "GRADIENT", "NOTHING"], why: "" },
  TOKEN_CLASSIFICATION: { form: "TEXT", gives: ["NOTHING"], why: "takes a loss, and no dataset says what classes tokens are of" },
  EMBEDDING: { form: "TEXT", gives: ["GRADIENT", "NOTHING"], why: "takes a loss that is right or wrong, which vectors do not have" },
};

/** What must hold of a method and a dataset for a model of a task. */
export const taskRules = (task: ModelTask, method: string, form: DatasetForm): Requirement[] => [
  [
    "input.method",
    pruned[task].gives.includes(judgedBy(methodNamed(method))),
    `cannot be ${method} for a model of the task ${task}: it ${pruned[task].why}`,
  ],
  [
    "input.dataset",
    form === pruned[task].form,
    pruned[task].form === "LABELLED"
      ? `must be of labelled texts, {"text", "label"} or {"text", "pair", "label"}, for a model of the task ${task}`
      : "must be of texts; it has items",
  ],
];
