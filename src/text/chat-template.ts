import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { EspalierError } from "../errors.ts";
import { readJson } from "./model-config.ts";
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
 * @throws EspalierError INVALID_CHAT_TEMPLATE
 */
export async function loadChatTemplate(folder: string): Promise<ChatTemplate | null> {
  const [own, settings, other] = await Promise.all([
    readFile(join(folder, "chat_template.jinja"), "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw error;
    }),
    readJson(folder, "tokenizer_config.json"),
    readJson(folder, "chat_template.json"),
  ]);
  const source = own ?? templateIn(settings?.["chat_template"]) ?? templateIn(other?.["chat_template"]);
  if (source === null) return null;
  const names = await readSpecialTokens(folder);
  const attempt = <T>(work: () => T): T => {
    try {
      return work();
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new EspalierError("INVALID_CHAT_TEMPLATE", `the model's chat template refuses: ${reason}`, { reason }, { cause });
    }
  };
  const template = attempt(() => new Template(source));
  return (messages) => attempt(() => template.render({ messages, add_generation_prompt: true, ...names }));
}

/** A template, or the default one of several. */
function templateIn(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return null;
  const named = value as readonly { readonly name?: string; readonly template?: string }[];
  return (named.find(({ name }) => name === "default") ?? named[0])?.template ?? null;
}
