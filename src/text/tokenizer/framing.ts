import { isWhole } from "../../is-whole.ts";
import { largest } from "../../large-lists.ts";
import type { Component } from "./component.ts";

/** A part of a framed text: ids that are put there, or one of the texts; and the type of its tokens. */
export type Piece = { readonly type: number } & ({ readonly ids: readonly number[] } | { readonly text: 0 | 1 });

/** How a text, and a pair of texts, are framed. */
export interface Framing {
  readonly single: readonly Piece[];
  /** Null where no such pair can be written. */
  readonly pair: readonly Piece[] | null;
}

const bare: Framing = {
  single: [{ text: 0, type: 0 }],
  pair: [
    { text: 0, type: 0 },
    { text: 1, type: 1 },
  ],
};

/** What frames texts as BERT and RoBERTa do: a token with its id before them, and one after each, or two between. */
const classification =
  (between: 1 | 2, second: number) =>
  (component: Component): Framing => {
    const [start, end] = ["cls", "sep"].map((name) => {
      const [, id] = component.list(name);
      if (!isWhole(id)) throw component.invalid(`"${name}" must be a token and its id`);
      return id;
    }) as [number, number];
    const single: Piece[] = [
      { ids: [start], type: 0 },
      { text: 0, type: 0 },
      { ids: [end], type: 0 },
    ];
    const doubled: Piece[] = between === 2 ? [{ ids: [end], type: 0 }] : [];
    return { single, pair: [...single, ...doubled, { text: 1, type: second }, { ids: [end], type: second }] };
  };

/** The pieces of a template. */
function template(component: Component): Framing {
  const tokens = component.part("special_tokens");
  const piecesOf = (name: string): Piece[] =>
    component.parts(name).map((piece): Piece => {
      const [kind] = ["Sequence", "SpecialToken"].filter((k) => piece.has(k));
      const own = piece.part(kind ?? "SpecialToken");
      const type = own.count("type_id", 0);
      if (kind === "Sequence") return { text: own.text("id", "A") === "B" ? 1 : 0, type };
      const ids = tokens.part(own.text("id")).list("ids");
      if (!ids.every((id) => isWhole(id))) throw piece.invalid("its ids must be whole numbers");
      return { ids, type };
    });
  const single = piecesOf("single");
  if (single.filter((piece) => "text" in piece).length !== 1) throw component.unsupported('a template "single" without its one text');
  const pair = component.has("pair") ? piecesOf("pair") : [];
  const texts = pair.flatMap((piece) => ("text" in piece ? [piece.text] : []));
  return { single, pair: texts.length === 2 && texts.includes(0) && texts.includes(1) ? pair : null };
}

/** The post-processors of Hugging Face's tokenizers by their types. */
const table: Readonly<Record<string, (component: Component) => Framing>> = {
  BertProcessing: classification(1, 1),
  ByteLevel: () => bare,
  RobertaProcessing: classification(2, 0),
  Sequence: (component) => {
    const parts = component.parts("processors").filter((part) => part.type !== "ByteLevel");
    if (parts.length > 1) throw component.unsupported("a text that is framed twice");
    return parts[0] ? framing(parts[0]) : bare;
  },
  TemplateProcessing: template,
};

/** How a post-processor frames texts; null where there is none. @throws EspalierError INVALID_TOKENIZER, UNSUPPORTED_TOKENIZER */
export const framing = (component: Component | null): Framing => (component ? component.choose(table)(component) : bare);

/** The ids that are put before a text. */
export const startOf = ({ single }: Framing): number[] =>
  single
    .slice(
      0,
      single.findIndex((piece) => "text" in piece),
    )
    .flatMap((piece) => ("ids" in piece ? piece.ids : []));

/** A text, or a pair of texts, as a model reads it whole. */
export interface FramedText {
  readonly ids: readonly number[];
  /** Of each token. */
  readonly types: readonly number[];
  /** The places of those that are of a text, not of its frame. */
  readonly text: readonly number[];
}

/** Frames one text or two. Where they have too many tokens the longer loses its last, until they fit. */
export function framed({ single, pair }: Framing, texts: readonly (readonly number[])[], longest: number): FramedText {
  const pieces = (texts.length === 2 ? pair : single) ?? [];
  const room = longest - pieces.reduce((n, piece) => n + ("ids" in piece ? piece.ids.length : 0), 0);
  const lengths = texts.map((text) => text.length);
  for (let over = lengths.reduce((a, b) => a + b, 0) - room; over > 0 && largest(lengths) > 0; over--) {
    const at = lengths.lastIndexOf(largest(lengths));
    lengths[at] = (lengths[at] as number) - 1;
  }
  const [ids, types, text]: [number[], number[], number[]] = [[], [], []];
  for (const piece of pieces) {
    const own = "ids" in piece ? piece.ids : (texts[piece.text] ?? []).slice(0, lengths[piece.text]);
    for (const id of own) {
      if ("text" in piece) text.push(ids.length);
      ids.push(id);
      types.push(piece.type);
    }
  }
  return { ids, types, text };
}
