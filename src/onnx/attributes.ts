import type { Attribute, Node, Tensor } from "./ir.ts";

/** Makers and readers of node attributes, so that nobody else spells their encoding. */
const text = new TextEncoder();
const untext = new TextDecoder();

export const float = (value: number): Attribute => ({ kind: "float", value });
export const int = (value: number): Attribute => ({ kind: "int", value: BigInt(value) });
export const string = (value: string): Attribute => ({ kind: "string", value: text.encode(value) });
export const tensor = (value: Tensor): Attribute => ({ kind: "tensor", value });
export const ints = (value: readonly number[]): Attribute => ({ kind: "ints", value: value.map(BigInt) });

export function intOf(node: Node, name: string): number | undefined;
export function intOf(node: Node, name: string, fallback: number): number;
export function intOf(node: Node, name: string, fallback?: number): number | undefined {
  const a = node.attributes[name];
  return a?.kind === "int" ? Number(a.value) : fallback;
}

export function floatOf(node: Node, name: string, fallback: number): number {
  const a = node.attributes[name];
  return a?.kind === "float" ? a.value : fallback;
}

export function stringOf(node: Node, name: string): string | undefined {
  const a = node.attributes[name];
  return a?.kind === "string" ? untext.decode(a.value) : undefined;
}

export function intsOf(node: Node, name: string): number[] | undefined {
  const a = node.attributes[name];
  return a?.kind === "ints" ? a.value.map(Number) : undefined;
}

export function tensorOf(node: Node, name: string): Tensor | undefined {
  const a = node.attributes[name];
  return a?.kind === "tensor" ? a.value : undefined;
}
