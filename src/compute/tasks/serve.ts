import { materialise } from "../../artifacts/model-files.ts";
import { Condition } from "../../condition.ts";
import { Engine } from "../../inference/engine.ts";
import { generate, type ServedModel } from "../../inference/generate.ts";
import { embed, score } from "../../inference/measure.ts";
import { type LoadingStage, openDecoder } from "../../inference/open-decoder.ts";
import { type ChatTemplate, loadChatTemplate } from "../../text/chat-template.ts";
import { loadTokenizer, type Tokenizer } from "../../text/tokenizer.ts";
import type { Task } from "../child.ts";
import { servingMemory } from "../serving-memory.ts";
import { occupied, signOfLife } from "../sign-of-life.ts";
import type { LoadingEvent, ServingRequest } from "../tasks.ts";

interface Loading {
  readonly served: Promise<ServedModel>;
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
const loading = new Map<string, Loading>();

function load({ model, executionProvider }: ServingRequest): Loading {
  const progress = new Condition();
  const open = async (): Promise<ServedModel> => {
    signOfLife("LOADING");
    const folder = await materialise(model);
    // The tokenizer first: if it cannot be had, no session is left behind.
    const [tokenizer, chatTemplate] = await Promise.all([loadTokenizer(folder, model.vocabularySize), loadChatTemplate(folder)]);
    const decoder = await openDecoder({ folder, executionProvider, cacheBytes: servingMemory(model).cacheBytes }, (stage) => {
      made.stage = stage;
      progress.notifyAll();
    });
    signOfLife("WRITING");
    return { ...watched(tokenizer, chatTemplate), engine: new Engine(decoder) };
  };
  const made: Loading = { stage: "READING", over: false, progress, served: Promise.resolve().then(open) };
  const over = () => {
    made.over = true;
    progress.notifyAll();
  };
  made.served.then(over, over);
  return made;
}

/** The model, loaded once; while it loads, how far it is. A model that cannot be loaded is tried again the next time: the reason may have gone. */
async function* loaded(request: ServingRequest, signal: AbortSignal): AsyncGenerator<LoadingEvent, ServedModel> {
  const key = `${request.model.digest} ${request.executionProvider}`;
  const known = loading.get(key) ?? load(request);
  loading.set(key, known);
  known.served.catch(() => loading.delete(key));
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
  const served = yield* loaded({ model, executionProvider }, signal);
  return await embed(served, options, signal);
};
