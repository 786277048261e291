import { numberAt } from "../../number-at.ts";
import { type ElementType, elementTypes, type TypeName } from "./element-types.ts";

/** In what the weights of a GGUF file are kept. */
export interface Quantisation {
  /** `general.file_type`. */
  readonly fileType: number;
  /** Types of a matrix, the first one that its rows fit counting. */
  readonly matrix: (place: Place) => readonly TypeName[];
}

/** A matrix among the others. */
export interface Place {
  /** `attn_v`, or `token_embd`. */
  readonly name: string;
  readonly layer: number | null;
  readonly layers: number;
  /** Whether logits are made with it. */
  readonly isHead: boolean;
}

/** Layers of which some matrices are kept in more bits: the first and the last eighth, and every third between them. */
const keepsMore = ({ layer, layers }: Place): boolean => {
  if (layer === null) return false;
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
};

const head = ["Q6_K", "Q8_0"] as const;

export const quantisations = {
  /** To begin with: see `exactPlans`. */
  AS_IS: { fileType: 0, matrix: () => ["F32"] },
  F32: { fileType: 0, matrix: () => ["F32"] },
  F16: { fileType: 1, matrix: () => ["F16"] },
  Q8_0: { fileType: 7, matrix: () => ["Q8_0"] },
  Q4_0: {
    fileType: 2,
    matrix: ({ isHead }) => (isHead ? head : ["Q4_0"]),
  },
  Q4_K_M: {
    fileType: 15,
    matrix: (place) => {
      if (place.isHead) return head;
      if (place.name === "attn_qkv") return ["Q5_K", "Q5_1"];
      return ["attn_v", "ffn_down"].includes(place.name) && keepsMore(place) ? head : ["Q4_K", "Q5_0"];
    },
  },
} as const satisfies Readonly<Record<string, Quantisation>>;

export type QuantisationName = keyof typeof quantisations;

/** Matrices that programs read in float32. */
const wide = /norm|position_embd|rope_/;

/** Whether a tensor stays in float32 whatever else is asked for: lists of numbers, norms and learned positions. */
export const staysWide = ({ name, dims }: { readonly name: string; readonly dims: readonly number[] }): boolean =>
  dims.length < 2 || wide.test(name);

/**
 * In what each tensor of a file is kept. A matrix whose rows no block fits is
 * kept in float16.
 *
 * @param tied whether the embedding is the head
 */
export function typeChooser(
  name: QuantisationName,
  layers: number,
  tied: boolean,
): (tensor: string, dims: readonly number[]) => ElementType {
  const { matrix }: Quantisation = quantisations[name];
  return (tensor, dims) => {
    const [, layer, base] = /^(?:blk\.(\d+)\.)?([a-z0-9_]+)\.(?:weight|bias)$/.exec(tensor) ?? [];
    if (staysWide({ name: tensor, dims }) || base === undefined) return elementTypes.F32;
    const isHead = base === "output" || (tied && base === "token_embd");
    const wanted = matrix({ name: base, layer: layer === undefined ? null : Number(layer), layers, isHead });
    const fits = wanted.find((type) => numberAt(dims, dims.length - 1) % elementTypes[type].elements === 0);
    return elementTypes[fits ?? "F16"];
  };
}
