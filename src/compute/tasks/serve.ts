import { materialise } from "../../artifacts/model-files.ts";
import { Condition } from "../../condition.ts";
import { Engine } from "../../inference/engine.ts";
import { generate, type ServedModel } from "../../inference/generate.ts";
import { embed, score } from "../../inference/measure.ts";
import { type LoadingStage, openDecoder } from "../../inference/open-decoder.ts";
import { openEncoder } from "../../inference/open-encoder.ts";
import { classify, embedWhole, fillMask, type ServedEncoder } from "../../inference/read-whole.ts";
import { type ChatTemplate, loadChatTemplate } from "../../text/chat-template.ts";
import { loadTokenizer, type Tokenizer } from "../../text/tokenizer.ts";
import type { Task } from "../child.ts";
import { servingMemory } from "../serving-memory.ts";
import { occupied, signOfLife } from "../sign-of-life.ts";
import type { LoadingEvent, ServingRequest } from "../tasks.ts";

interface Loading<Served> {
  readonly served: Promise<Served>;
  stage: LoadingStage;
  /** Whether it has been loaded, or has failed. */
  over: boolean;
  /** Notified at each stage, and at the end. */
  readonly progress: Condition;
}

/** A model's own code, which can be anything: the parent is told before it begins. */
function watched(tokenizer: Tokenizer, chatTemplate: ChatTemplate | null): Pick<ServedModel, "tokenizer" | "chatTemplate"> {
  const reading = <Text, Result>(read: (text: Text) => Result) => {
    return (text: Text) => occupied("READING_TEXT", () => read(text));
  };
  const { encode, encodeDocument } = tokenizer;
  return {
    tokenizer: { ...tokenizer, encode: reading(encode), encodeDocument: reading(encodeDocument) },
    chatTemplate: chatTemplate && reading(chatTemplate),
  };
}

/** By model and provider: many requests may be on their way at once. */
const loading = new Map<string, Loading<ServedModel>>();
const loadingEncoders = new Map<string, Loading<ServedEncoder>>();

type Report = (stage: LoadingStage) => void;

function load<Served>(open: (report: Report) => Promise<Served>): Loading<Served> {
  const progress = new Condition();
  const made: Loading<Served> = {
    stage: "READING",
    over: false,
    progress,
    served: Promise.resolve().then(async () => {
      signOfLife("LOADING");
      const served = await open((stage) => {
        made.stage = stage;
        progress.notifyAll();
      });
      signOfLife("WRITING");
      return served;
    }),
  };
  const over = () => {
    made.over = true;
    progress.notifyAll();
  };
  made.served.then(over, over);
  return made;
}

const openWriter =
  ({ model, executionProvider }: ServingRequest) =>
  async (report: Report): Promise<ServedModel> => {
    const folder = await materialise(model);
    // The tokenizer first: if it cannot be had, no session is left behind.
    const [tokenizer, chatTemplate] = await Promise.all([loadTokenizer(folder, model.vocabularySize), loadChatTemplate(folder)]);
    const decoder = await openDecoder({ folder, executionProvider, cacheBytes: servingMemory(model).cacheBytes }, report);
    return { ...watched(tokenizer, chatTemplate), engine: new Engine(decoder) };
  };

const openReader =
  ({ model, executionProvider }: ServingRequest) =>
  async (report: Report): Promise<ServedEncoder> => {
    const folder = await materialise(model);
    report("OPENING");
    const served = await openEncoder({ folder, executionProvider }, model.vocabularySize);
    return { ...served, tokenizer: watched(served.tokenizer, null).tokenizer };
  };

/** The model, loaded once; while it loads, how far it is. A model that cannot be loaded is tried again the next time: the reason may have gone. */
async function* loadedIn<Served>(
  all: Map<string, Loading<Served>>,
  open: (request: ServingRequest) => (report: Report) => Promise<Served>,
  request: ServingRequest,
  signal: AbortSignal,
): AsyncGenerator<LoadingEvent, Served> {
  const key = `${request.model.digest} ${request.executionProvider}`;
  const known = all.get(key) ?? load(open(request));
  all.set(key, known);
  known.served.catch(() => all.delete(key));
  for (let told: LoadingStage | null = null; !known.over; ) {
    signal.throwIfAborted();
    if (told === known.stage) await known.progress.wait(signal);
    else {
      told = known.stage;
      yield { loading: told };
    }
  }
  return await known.served;
}

const loaded = (request: ServingRequest, signal: AbortSignal) => loadedIn(loading, openWriter, request, signal);
const loadedEncoder = (request: ServingRequest, signal: AbortSignal) => loadedIn(loadingEncoders, openReader, request, signal);

/** Faster than eyes follow, and far fewer messages from models that write a thousand tokens a second. */
const gatherMs = 10;

export const generateTask: Task<"generate"> = async function* ({ model, executionProvider, ...options }, signal) {
  const served = yield* loaded({ model, executionProvider }, signal);
  return yield* generate(served, { ...options, gatherMs }, signal);
};

export const scoreTask: Task<"score"> = async function* ({ model, executionProvider, ...options }, signal) {
  const served = yield* loaded({ model, executionProvider }, signal);
  return await score(served, options, signal);
};

export const embedTask: Task<"embed"> = async function* ({ model, executionProvider, ...options }, signal) {
  if (model.task === "CAUSAL_LM") {
    const served = yield* loaded({ model, executionProvider }, signal);
    return await embed(served, options, signal);
  }
  const served = yield* loadedEncoder({ model, executionProvider }, signal);
  const { texts, pooling: mode, normalize } = options;
  return await embedWhole(served, texts, { ...(mode ? { mode } : {}), ...(normalize == null ? {} : { normalize }) });
};

export const classifyTask: Task<"classify"> = async function* ({ model, executionProvider, texts }, signal) {
  const served = yield* loadedEncoder({ model, executionProvider }, signal);
  return await classify(served, texts);
};

export const fillMaskTask: Task<"fillMask"> = async function* ({ model, executionProvider, texts, topK }, signal) {
  const served = yield* loadedEncoder({ model, executionProvider }, signal);
  return await fillMask(served, texts, topK);
};
