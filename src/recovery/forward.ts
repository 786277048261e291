import { dirname, join, relative, sep } from "node:path";
import { lower } from "../autodiff/lower.ts";
import { EspalierError } from "../errors.ts";
import { renameValues } from "../onnx/edit.ts";
import type { Model, Tensor, TypedGraph, ValueInfo } from "../onnx/ir.ts";
import { toFloat32 } from "../onnx/to-float32.ts";
import { specialise } from "../runtime/specialise.ts";
import { bindingOf } from "../signature/binding.ts";
import { logitsOf } from "../signature/logits.ts";
import { signatureOf } from "../signature/signature.ts";
import type { Anatomy } from "../structures/anatomy.ts";

/** A model, and the folder that its external data lies in. */
export interface Located {
  readonly model: Model;
  readonly folder: string;
}

/** A forward pass of texts [B, T], in float32 and without compound operators. */
export interface Forward {
  readonly typed: TypedGraph;
  /** The input of token ids. */
  readonly tokens: ValueInfo;
  /** Name of the value [B, T, V]. */
  readonly logits: string;
}

/**
 * @param parameters that keep their names, beside those in other files
 * @param kept values of floats that are there under their names, whatever is folded
 */
export async function forwardOf(
  model: Model,
  parameters: readonly string[],
  [B, T]: readonly [number, number],
  kept: readonly string[] = [],
): Promise<Forward> {
  const wide = toFloat32(model);
  const logits = logitsOf(wide.graph.outputs).name;
  const beside = [...new Set(kept)].map((name): ValueInfo => ({ name, dataType: "float32", shape: null }));
  const outputs = [...wide.graph.outputs, ...beside];
  const named = [logits, ...beside.map((v) => v.name)];
  const whole = { ...wide, graph: { ...wide.graph, outputs } };
  const typed = lower(await specialise(whole, bindingOf(wide, B, T, parameters), named));
  return { typed, tokens: signatureOf(wide.graph.inputs).tokens, logits };
}

/** With every residual addition in the open, as the joints of its trunk are named. */
export const unfused = (model: Model, { flow }: Anatomy): Model => ({ ...model, graph: flow.graph });

/** The deepest folder that holds all of these. */
export function commonFolder(folders: readonly string[]): string {
  let common = folders[0] as string;
  while (!folders.every((f) => f === common || f.startsWith(common.endsWith(sep) ? common : `${common}${sep}`))) common = dirname(common);
  return common;
}

/** The same graph, whose external data is named from a folder above. */
export function namedFrom(typed: TypedGraph, folder: string, root: string): TypedGraph {
  const moved = (t: Tensor): Tensor =>
    t.data.kind === "external"
      ? { ...t, data: { ...t.data, location: join(relative(root, folder), t.data.location).replaceAll(sep, "/") } }
      : t;
  const initializers = new Map([...typed.graph.initializers].map(([name, t]) => [name, moved(t)]));
  return { ...typed, graph: { ...typed.graph, initializers } };
}

/**
 * Two forward passes as one graph, that of the teacher with names of its own. Both read the same tokens, if they are of one type.
 *
 * @returns the graph, whose outputs are the first one's, the teacher's part as it is named there, and how its values are named
 * @throws EspalierError TEACHER_DIFFERS if they are written in unlike versions of operator sets
 */
export function beside(
  own: Forward,
  teacher: Forward,
): { readonly typed: TypedGraph; readonly teacher: Forward; readonly nameOf: (value: string) => string } {
  const differing = Object.entries(teacher.typed.opsets).find(([domain, version]) => (own.typed.opsets[domain] ?? version) !== version);
  if (differing)
    throw new EspalierError(
      "TEACHER_DIFFERS",
      `the teacher's graph is of version ${differing[1]} of the operators of ${differing[0] || "ONNX"}, the model's of ${own.typed.opsets[differing[0]]}: export both alike`,
    );
  const { graph, types } = teacher.typed;
  const shared = own.tokens.dataType === teacher.tokens.dataType;
  const prefixed = (name: string) => (shared && name === teacher.tokens.name ? own.tokens.name : `teacher/${name}`);
  const names = new Map([...types.keys(), ...graph.inputs.map((i) => i.name)].map((name) => [name, prefixed(name)]));
  const renamed = renameValues(graph, names);
  const typed: TypedGraph = {
    opsets: { ...teacher.typed.opsets, ...own.typed.opsets },
    types: new Map([...[...types].map(([name, type]) => [prefixed(name), type] as const), ...own.typed.types]),
    graph: {
      ...own.typed.graph,
      inputs: [...own.typed.graph.inputs, ...renamed.inputs.filter((i) => i.name !== own.tokens.name)],
      initializers: new Map([...renamed.initializers, ...own.typed.graph.initializers]),
      nodes: [...renamed.nodes.map((n) => ({ ...n, name: `teacher/${n.name}` })), ...own.typed.graph.nodes],
    },
  };
  const its: Forward = {
    typed: { ...teacher.typed, graph: renamed, types: typed.types },
    tokens: { ...teacher.tokens, name: prefixed(teacher.tokens.name) },
    logits: prefixed(teacher.logits),
  };
  return { typed, teacher: its, nameOf: prefixed };
}
