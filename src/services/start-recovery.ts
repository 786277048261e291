import { EspalierError } from "../errors.ts";
import { recoveryMethodNamed } from "../recovery/methods/index.ts";
import { type ClosedForm, isTrained, leastTokensPerInput } from "../recovery/methods/method.ts";
import { needsTeacher } from "../recovery/objectives.ts";
import { type AskedRecovery, rankFor, recoveryRules, requireHealable, selfRules, trainsBesideCodes } from "../rules/recovery-rules.ts";
import { modelOfSameTokens } from "../rules/same-tokens.ts";
import { blaming, keyRule, requireAll } from "../rules/validate.ts";
import { getModel, type ModelRecord } from "../store/models.ts";
import { createRecoveryRun, largerAncestor, type NewRecoveryRun, type RecoveryRunRecord } from "../store/recovery-runs.ts";
import { structuresOfModels } from "../store/references.ts";
import { earlierResult } from "../store/request-keys.ts";
import type { Subject } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import type { SelfTextOptions } from "../text/self-text-options.ts";
import { chosenDataset, type DatasetChoice } from "./chosen-dataset.ts";
import { runSubject } from "./run-subject.ts";
import type { StartServices } from "./start-pruning.ts";

/** What to heal, how, and with which texts: plain data. Errors call it `input`. */
export interface RecoveryRequest {
  readonly subject: Subject;
  /** Null: the nearest ancestor that is larger. */
  readonly teacherId: string | null;
  readonly method: string;
  /** Which texts, or what the teacher is to write. */
  readonly dataset: DatasetChoice | { readonly self: SelfTextOptions };
  /** `rank` null: as much of the usual rank as the model is wide. */
  readonly options: AskedRecovery;
  readonly priority: number;
  /** A request with the key of an earlier one of the same owner gives what that one gave. */
  readonly idempotencyKey?: string | null;
}

/**
 * Starts a recovery run: it waits for a worker.
 *
 * @param owner the token of the client; null where it has none
 * @throws EspalierError BAD_USER_INPUT, MODEL_NOT_FOUND, TOKENIZER_MISSING, what keeps the model's gradients from being had; NO_TEACHER,
 *   TEACHER_DIFFERS; DATASET_NOT_FOUND, INVALID_DATASET, RECOVERY_TEXT_TOO_SHORT; RUN_NOT_FOUND, RUN_WITHOUT_RESULT;
 *   IDEMPOTENCY_KEY_REUSED: all with the argument at fault, and nothing is stored then
 */
export async function startRecovery(services: StartServices, request: RecoveryRequest, owner: string | null): Promise<RecoveryRunRecord> {
  const { store, queue } = services;
  const { priority, idempotencyKey: key } = request;
  const { subject, argument, model, requireUnquantising } = await runSubject(store, request.subject);
  const method = recoveryMethodNamed(request.method);
  if (!trainsBesideCodes(method)) requireUnquantising();
  const asked = { ...request.options, rank: request.options.rank ?? (model && rankFor(model.architecture)) };
  requireAll([...recoveryRules(asked), ["input.priority", Math.abs(priority) <= 100, "must be from -100 to 100"], keyRule(key)]);
  const learningRate = asked.learningRate ?? method.learningRate;
  const isThere = "modelId" in subject;
  const self = "self" in request.dataset ? request.dataset.self : null;
  if (self) requireAll(selfRules(self, asked));
  if (model) await blaming(argument, requireHealable(store.prisma, model, asked, self, method.name));
  const asksForTeacher = self !== null || !isTrained(method) || needsTeacher(asked.objectives);
  const teacherId = await chosenTeacher(store, model, isThere, asksForTeacher, request.teacherId);
  const options = { ...asked, learningRate, teacherId, ...(self ? { self } : {}) };
  const inputs = isTrained(method) || !isThere || !model ? 0 : await inputsOf(store, method, model, teacherId);
  if (self) requireForInputs(inputs, self.tokens, "input.dataset.self.tokens", method.name, options);
  if ("self" in request.dataset) {
    const run: NewRecoveryRun = { ...subject, method: method.name, options, priority };
    const keyed = key == null ? undefined : { operation: "startRecovery", owner, key, request: run };
    return createRecoveryRun(store, run, queue.addRun, keyed);
  }
  const dataset = await chosenDataset(services, "input.dataset", request.dataset);
  requireAll([["input.dataset", dataset.form === "TEXT", "must be of texts; it has items"]]);
  const runOf = (datasetId: string): NewRecoveryRun => ({ ...subject, method: method.name, options, datasetId, priority });
  const keyed = (run: NewRecoveryRun) => (key == null ? undefined : { operation: "startRecovery", owner, key, request: run });
  // A dataset that is not stored yet is that of no earlier request.
  const known = keyed(runOf(dataset.id ?? ""));
  if (known) await earlierResult(store.prisma, known);
  requireEnough(dataset, options);
  requireForInputs(inputs, dataset.sizeBytes, "input.dataset", method.name, options);
  const run = runOf((await dataset.keep()).id);
  return createRecoveryRun(store, run, queue.addRun, keyed(run));
}

/**
 * The teacher as it is recorded: of a model that is still being made, null where none was named, for its ancestors are not known.
 *
 * @throws EspalierError NO_TEACHER; TEACHER_DIFFERS; what `modelOfSameTokens` throws
 */
async function chosenTeacher(
  store: Store,
  model: ModelRecord | null,
  isThere: boolean,
  asksForTeacher: boolean,
  teacherId: string | null,
): Promise<string | null> {
  if (teacherId === null) {
    const known = isThere ? model : null;
    const found = known && (await largerAncestor(store.prisma, known));
    if (known && !found && asksForTeacher)
      throw new EspalierError(
        "NO_TEACHER",
        `the model ${known.name} was made of no larger one: name a teacher (input.teacherId), or train a way that needs none for the next token alone (input.options.objectives: { distill: 0, languageModel: 1 })`,
        { argument: "input.teacherId" },
      );
    return found?.id ?? null;
  }
  const argument = "input.teacherId";
  requireAll([[argument, !isThere || teacherId.toLowerCase() !== model?.id, "must be another model: of itself there is nothing to learn"]]);
  const teacher = await modelOfSameTokens(store, model, { id: teacherId, argument, what: "teacher", code: "TEACHER_DIFFERS" });
  return teacher.id;
}

/** How many inputs the widest product has at least that a closed form solves for. */
async function inputsOf({ prisma }: Store, method: ClosedForm, model: ModelRecord, teacherId: string | null): Promise<number> {
  if (teacherId === null) return 0;
  const teacher = await getModel(prisma, teacherId);
  const [own = [], its = []] = await structuresOfModels(prisma, [model.id, teacher.id]);
  const recorded = (of: ModelRecord, structures: typeof own) => ({ hiddenSize: of.architecture.hiddenSize, structures });
  return method.leastInputs(recorded(model, own), recorded(teacher, its));
}

/** Texts of so many tokens at most, read once, must be enough for a closed form. What they have is seen when they are read. @throws EspalierError */
function requireForInputs(inputs: number, most: number, argument: string, name: string, o: AskedRecovery): void {
  const needed = leastTokensPerInput * inputs;
  const read = o.steps * o.accumulate * o.batchSize * o.sequenceLength;
  const tokens = Math.min(most, read);
  if (tokens >= needed) return;
  throw new EspalierError(
    "RECOVERY_TEXT_TOO_SHORT",
    `${name} needs ${needed} tokens, four for each of ${inputs} inputs; the texts of ${o.steps} steps, each once, have ${tokens} at most: ask for more steps or give it more texts`,
    { argument: read < most ? "input.options.steps" : argument, neededTokens: needed, tokens },
  );
}

/** A token has at least a byte: of texts that are too few by that all is known. The rest is seen when they are read. @throws EspalierError */
function requireEnough({ sizeBytes }: { readonly sizeBytes: number }, o: AskedRecovery): void {
  const needed = (o.heldBackTexts + o.batchSize * o.accumulate) * o.sequenceLength;
  if (sizeBytes >= needed) return;
  throw new EspalierError(
    "RECOVERY_TEXT_TOO_SHORT",
    `the dataset has ${sizeBytes} bytes, and cannot hold the ${needed} tokens that are needed for a step and for the texts that are held back`,
    { argument: "input.dataset", neededTokens: needed, sizeBytes },
  );
}
