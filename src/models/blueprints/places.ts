import type { Attention, Blueprint, Linear, Mlp, Norm } from "./blueprint.ts";

/** Consecutive parts of an axis, such as the queries, keys and values of a packed projection: how many entries each has. */
export type Segments = readonly number[];

/** A tensor of a family's files: what it is called, and what its axes consist of. */
export interface Place {
  readonly name: string;
  readonly axes: readonly Segments[];
  /** Whether it is kept as its difference from 1. */
  readonly aroundOne?: boolean;
  /** Of a norm whose heads have a tensor each: which of them this is, and how the first is called. */
  readonly head?: { readonly index: number; readonly first: string };
}

/** The tensors of one branch of a layer, or of what stands around the layers. */
export interface Places {
  readonly around: readonly Place[];
  readonly layers: readonly { readonly attention: readonly Place[]; readonly mlp: readonly Place[] }[];
}

function linear({ weight, bias, stored }: Linear, input: Segments, output: Segments): Place[] {
  const axes = stored === "IN_OUT" ? [input, output] : [output, input];
  return [{ name: weight, axes }, ...(bias === undefined ? [] : [{ name: bias, axes: [output] }])];
}

function norm(which: Norm | null | undefined, width: number): Place[] {
  if (!which) return [];
  const { weight, bias, heads } = which;
  const around = which.aroundOne ? { aroundOne: true } : {};
  const scales = (): Place[] => {
    if (weight === null) return [];
    if (typeof weight === "string") return [{ name: weight, axes: heads === undefined ? [[width]] : [[heads], [width]], ...around }];
    return weight.map((name, index) => ({ name, axes: [[width]], head: { index, first: weight[0] as string } }));
  };
  return [...scales(), ...(bias === undefined ? [] : [{ name: bias, axes: [[width]] }])];
}

function ofAttention(which: Attention, hidden: number): Place[] {
  const { heads, kvHeads, headWidth, projections, output, headNorm, before, after, afterSum } = which;
  const [queries, keys] = [heads * headWidth, kvHeads * headWidth];
  const input = [hidden];
  const projected =
    projections.kind === "SEPARATE"
      ? [...linear(projections.q, input, [queries]), ...linear(projections.k, input, [keys]), ...linear(projections.v, input, [keys])]
      : linear(projections.qkv, input, projections.by === "PARTS" ? [queries, keys, keys] : [queries + 2 * keys]);
  const together = headNorm?.over === "ALL";
  const ofHeads = headNorm ? [...norm(headNorm.q, together ? queries : headWidth), ...norm(headNorm.k, together ? keys : headWidth)] : [];
  const around = [before, after, afterSum].flatMap((each) => norm(each, hidden));
  return [...around, ...projected, ...ofHeads, ...linear(output, [queries], input)];
}

function ofMlp({ width, input, down, before, after, afterSum }: Mlp, hidden: number): Place[] {
  const up =
    input.kind === "PLAIN"
      ? linear(input.up, [hidden], [width])
      : input.kind === "GATED"
        ? [...linear(input.gate, [hidden], [width]), ...linear(input.up, [hidden], [width])]
        : linear(input.gateUp, [hidden], [width, width]);
  const around = [before, after, afterSum].flatMap((each) => norm(each, hidden));
  return [...around, ...up, ...linear(down, [width], [hidden])];
}

/** Each name once: parallel branches may share a norm, and a tied head is the embedding. */
function once<Of extends Place>(places: readonly Of[], seen: Set<string>): Of[] {
  return places.filter(({ name }) => !seen.has(name) && seen.add(name));
}

/** Every tensor that a blueprint's files hold, each once. */
export function placesOf(blueprint: Blueprint): Places {
  const { hiddenSize: hidden, vocabularySize, embedding, positions, layers, head, project } = blueprint;
  const width = embedding.width ?? hidden;
  const seen = new Set<string>();
  const around: Place[] = [
    { name: embedding.weight, axes: [[vocabularySize], [width]] },
    ...norm(embedding.norm, hidden),
    ...(embedding.project ? linear(embedding.project, [width], [hidden]) : []),
    ...(positions ? [{ name: positions.weight, axes: [[positions.rows], [hidden]] }] : []),
    ...norm(blueprint.norm, hidden),
    ...(project ? linear(project, [hidden], [width]) : []),
    { name: head.weight, axes: [[vocabularySize], [width]] },
    ...(head.bias === undefined ? [] : [{ name: head.bias, axes: [[vocabularySize]] }]),
  ];
  return {
    around: once(around, seen),
    layers: layers.map(({ attention, mlp }) => ({
      attention: once(ofAttention(attention, hidden), seen),
      mlp: once(ofMlp(mlp, hidden), seen),
    })),
  };
}
