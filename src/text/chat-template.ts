import { EspalierError } from "../errors.ts";
import { template } from "./jinja/template.ts";
import { TemplateError } from "./jinja/template-error.ts";
import { jsonObject } from "./model-config.ts";
import { readBeside } from "./read-beside.ts";
import { readSpecialTokens } from "./special-tokens.ts";

export interface ChatMessage {
  /** `system`, `user`, `assistant`, or what else the model's template knows. */
  readonly role: string;
  readonly content: string;
}

/** Writes a conversation as a model was trained to read it, up to where its answer begins. */
export type ChatTemplate = (messages: readonly ChatMessage[]) => string;

/** Where it may stand. */
export const chatTemplateFiles = ["chat_template.jinja", "tokenizer_config.json", "chat_template.json"];

/**
 * The chat template of a model folder, where Hugging Face's files keep it: `chat_template.jinja`, else `chat_template` in
 * tokenizer_config.json or chat_template.json. Null if there is none.
 *
 * @throws EspalierError INVALID_CHAT_TEMPLATE, with the line, if it is no template or needs what is not supported; so does the
 *   template where it refuses a conversation
 */
export async function loadChatTemplate(folder: string): Promise<ChatTemplate | null> {
  const source = await readChatTemplate((name) => readBeside(folder, name));
  if (source === null) return null;
  const names = await readSpecialTokens(folder);
  const rendered = attempt("cannot be used", () => template(source));
  // Names that are always there in transformers, even where there is nothing behind them.
  const given = { ...names, tools: null, documents: null, add_generation_prompt: true };
  return (messages) => attempt("refuses", () => rendered({ ...given, messages }));
}

/**
 * The template itself. Null if there is none.
 *
 * @param read gives a file of the model's by its name; null if there is none
 * @throws EspalierError INVALID_JSON
 */
export async function readChatTemplate(read: (name: string) => Promise<string | null>): Promise<string | null> {
  const within = async (name: string) => {
    const text = await read(name);
    return text === null ? null : templateIn(jsonObject(name, text)["chat_template"]);
  };
  return (await read("chat_template.jinja")) ?? (await within("tokenizer_config.json")) ?? (await within("chat_template.json"));
}

function attempt<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof TemplateError)) throw cause;
    const { message, reason, line } = cause;
    throw new EspalierError("INVALID_CHAT_TEMPLATE", `the model's chat template ${what}: ${message}`, { reason, line }, { cause });
  }
}

/** A template, or the default one of several. */
function templateIn(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return null;
  const named = value as readonly { readonly name?: string; readonly template?: string }[];
  return (named.find(({ name }) => name === "default") ?? named[0])?.template ?? null;
}
