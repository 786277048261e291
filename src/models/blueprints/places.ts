import type { Attention, Blueprint, Linear, Mlp, Norm } from "./blueprint.ts";

/** Consecutive parts of an axis, such as the queries, keys and values of a packed projection: how many entries each has. */
export type Segments = readonly number[];

/** What a tensor does in its branch, or around the layers. */
export type Role =
  | "embedding"
  | "embeddingNorm"
  | "projectIn"
  | "positions"
  | "norm"
  | "projectOut"
  | "head"
  | "before"
  | "after"
  | "afterSum"
  | "q"
  | "k"
  | "v"
  | "qkv"
  | "qNorm"
  | "kNorm"
  | "output"
  | "up"
  | "gate"
  | "gateUp"
  | "down"
  | "router"
  | "sharedGate";

/** A tensor of a family's files: what it is called, what it does, and what its axes consist of. */
export interface Place {
  readonly name: string;
  readonly role: Role;
  readonly part: "weight" | "bias";
  readonly axes: readonly Segments[];
  /** Of a matrix: whether it is kept [in, out], as Conv1D does. */
  readonly inOut?: boolean;
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

function linear(role: Role, { weight, bias, stored }: Linear, input: Segments, output: Segments): Place[] {
  const inOut = stored === "IN_OUT";
  const axes = inOut ? [input, output] : [output, input];
  return [{ name: weight, role, part: "weight", axes, inOut }, ...(bias === undefined ? [] : [biasAt(role, bias, output)])];
}

const biasAt = (role: Role, name: string, output: Segments): Place => ({ name, role, part: "bias", axes: [output] });

function norm(role: Role, which: Norm | null | undefined, width: number): Place[] {
  if (!which) return [];
  const { weight, bias, heads, aroundOne = false } = which;
  const scale = { role, part: "weight", aroundOne } as const;
  const scales = (): Place[] => {
    if (weight === null) return [];
    if (typeof weight === "string") return [{ name: weight, axes: heads === undefined ? [[width]] : [[heads], [width]], ...scale }];
    return weight.map((name, index) => ({ name, axes: [[width]], head: { index, first: weight[0] as string }, ...scale }));
  };
  return [...scales(), ...(bias === undefined ? [] : [biasAt(role, bias, [width])])];
}

const around = ({ before, after, afterSum }: Attention | Mlp, hidden: number): Place[] => [
  ...norm("before", before, hidden),
  ...norm("after", after, hidden),
  ...norm("afterSum", afterSum, hidden),
];

function ofAttention(which: Attention, hidden: number): Place[] {
  const { heads, kvHeads, headWidth, projections, output, headNorm } = which;
  const [queries, keys] = [heads * headWidth, kvHeads * headWidth];
  const input = [hidden];
  const projected =
    projections.kind === "SEPARATE"
      ? [
          ...linear("q", projections.q, input, [queries]),
          ...linear("k", projections.k, input, [keys]),
          ...linear("v", projections.v, input, [keys]),
        ]
      : linear("qkv", projections.qkv, input, projections.by === "PARTS" ? [queries, keys, keys] : [queries + 2 * keys]);
  const together = headNorm?.over === "ALL";
  const ofHeads = headNorm
    ? [...norm("qNorm", headNorm.q, together ? queries : headWidth), ...norm("kNorm", headNorm.k, together ? keys : headWidth)]
    : [];
  return [...around(which, hidden), ...projected, ...ofHeads, ...linear("output", output, [queries], input)];
}

function ofMlp(which: Mlp, hidden: number): Place[] {
  const { width, mixture } = which;
  if (!mixture) return [...around(which, hidden), ...ofPart(which, width, hidden)];
  const { router, choiceBias, count, experts, shared } = mixture;
  return [
    ...around(which, hidden),
    ...linear("router", router, [hidden], [count]),
    ...(choiceBias === undefined ? [] : [biasAt("router", choiceBias, [count])]),
    ...experts.flatMap((expert) => ofPart(expert, width, hidden)),
    ...(shared ? ofPart(shared, shared.width, hidden) : []),
    ...(shared?.gate ? linear("sharedGate", shared.gate, [hidden], [1]) : []),
  ];
}

function ofPart({ input, down }: Pick<Mlp, "input" | "down">, width: number, hidden: number): Place[] {
  const up =
    input.kind === "PLAIN"
      ? linear("up", input.up, [hidden], [width])
      : input.kind === "GATED"
        ? [...linear("gate", input.gate, [hidden], [width]), ...linear("up", input.up, [hidden], [width])]
        : linear("gateUp", input.gateUp, [hidden], [width, width]);
  return [...up, ...linear("down", down, [width], [hidden])];
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
  const all: Place[] = [
    { name: embedding.weight, role: "embedding", part: "weight", axes: [[vocabularySize], [width]], inOut: false },
    ...norm("embeddingNorm", embedding.norm, hidden),
    ...(embedding.project ? linear("projectIn", embedding.project, [width], [hidden]) : []),
    ...(positions
      ? [{ name: positions.weight, role: "positions", part: "weight", axes: [[positions.rows], [hidden]], inOut: false } as const]
      : []),
    ...norm("norm", blueprint.norm, hidden),
    ...(project ? linear("projectOut", project, [hidden], [width]) : []),
    ...linear("head", { weight: head.weight, ...(head.bias === undefined ? {} : { bias: head.bias }) }, [width], [vocabularySize]),
  ];
  return {
    around: once(all, seen),
    layers: layers.map(({ attention, mlp }) => ({
      attention: once(ofAttention(attention, hidden), seen),
      mlp: once(ofMlp(mlp, hidden), seen),
    })),
  };
}
