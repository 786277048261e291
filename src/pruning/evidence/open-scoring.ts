import { join } from "node:path";
import { inFolder } from "../../in-folder.ts";
import * as attr from "../../onnx/attributes.ts";
import { replaceUses } from "../../onnx/edit.ts";
import { encode } from "../../onnx/encode.ts";
import { dataTypes, type Graph, type Model, type TypedGraph } from "../../onnx/ir.ts";
import { besideGraph, writeData } from "../../onnx/write-data.ts";
import { openSession, type Session } from "../../runtime/session.ts";
import type { Scene } from "./evidence.ts";

/**
 * A session over a graph made of a scene's model, whose weights beside the graph are mapped. What was cut from such weights is first
 * written to a file: a graph of ONNX holds at most 2 GB itself. It runs a few times, so that memory counts for more than speed.
 * Token ids are fed as int64, whatever the model takes.
 */
export async function openScoring(scene: Scene, model: Model, { graph: typed, opsets }: TypedGraph): Promise<Session> {
  const { folder, scratch, executionProvider, whole } = scene;
  const graph = fedLongs(typed, whole.anatomy.tokens);
  const open = (now: Graph, externalFolder: string) =>
    openSession({ bytes: encode({ ...model, opsets, graph: now }), externalFolder }, { executionProvider, lean: true });
  const beside = besideGraph(whole.anatomy.flow.graph);
  if (![...graph.initializers.values()].some((t) => beside(t) && t.data.kind === "inline")) return open(graph, folder);
  // The open session has the file mapped, and needs its name no more.
  return inFolder(scratch, async () => open(await writeData(graph, beside, folder, join(scratch, "weights")), scratch));
}

function fedLongs(graph: Graph, tokens: string): Graph {
  const input = graph.inputs.find((i) => i.name === tokens);
  if (!input || input.dataType === "int64") return graph;
  const cast = `${tokens}/${input.dataType}`;
  const to = attr.int(dataTypes[input.dataType].onnx);
  const node = { name: cast, opType: "Cast", domain: "", inputs: [tokens], outputs: [cast], attributes: { to } };
  const { nodes } = replaceUses(graph, new Map([[tokens, cast]]));
  return { ...graph, inputs: graph.inputs.map((i) => (i === input ? { ...i, dataType: "int64" } : i)), nodes: [node, ...nodes] };
}
