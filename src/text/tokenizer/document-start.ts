import { isWhole } from "../../is-whole.ts";
import type { Component } from "./component.ts";

/** The two that frame a text as BERT and RoBERTa do: a token with its id before it, and one after. */
function classification(component: Component): number[] {
  const [, id] = component.list("cls");
  if (!isWhole(id)) throw component.invalid('"cls" must be a token and its id');
  return [id];
}

/** What a template puts before its text. */
function template(component: Component): number[] {
  const tokens = component.part("special_tokens");
  const pieces = component.parts("single");
  const at = pieces.findIndex((piece) => piece.has("Sequence"));
  if (at < 0 || pieces.slice(at + 1).some((piece) => piece.has("Sequence")))
    throw component.unsupported('a template "single" without its one text');
  return pieces.slice(0, at).flatMap((piece) => {
    const ids = tokens.part(piece.part("SpecialToken").text("id")).list("ids");
    if (!ids.every((id) => isWhole(id))) throw piece.invalid("its ids must be whole numbers");
    return ids;
  });
}

/** The post-processors of Hugging Face's tokenizers by their types. */
const table: Readonly<Record<string, (component: Component) => number[]>> = {
  BertProcessing: classification,
  ByteLevel: () => [],
  RobertaProcessing: classification,
  Sequence: (component) => {
    const framing = component.parts("processors").filter((part) => part.type !== "ByteLevel");
    if (framing.length > 1) throw component.unsupported("a text that is framed twice");
    return framing.flatMap(documentStart);
  },
  TemplateProcessing: template,
};

/** The ids that a post-processor puts before a text. @throws EspalierError INVALID_TOKENIZER, UNSUPPORTED_TOKENIZER */
export const documentStart = (component: Component): number[] => component.choose(table)(component);
