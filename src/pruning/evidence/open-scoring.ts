import { join } from "node:path";
import { inFolder } from "../../in-folder.ts";
import { encode } from "../../onnx/encode.ts";
import type { Graph, Model, TypedGraph } from "../../onnx/ir.ts";
import { besideGraph, writeData } from "../../onnx/write-data.ts";
import { openSession, type Session } from "../../runtime/session.ts";
import type { Scene } from "./evidence.ts";

/**
 * A session over a graph made of a scene's model, whose weights beside the graph are mapped. What was cut from such weights is first
 * written to a file: a graph of ONNX holds at most 2 GB itself. It runs a few times, so that memory counts for more than speed.
 */
export async function openScoring(
  scene: Pick<Scene, "folder" | "scratch" | "executionProvider" | "whole">,
  model: Model,
  { graph, opsets }: TypedGraph,
): Promise<Session> {
  const { folder, scratch, executionProvider, whole } = scene;
  const open = (now: Graph, externalFolder: string) =>
    openSession({ bytes: encode({ ...model, opsets, graph: now }), externalFolder }, { executionProvider, lean: true });
  const beside = besideGraph(whole.anatomy.flow.graph);
  if (![...graph.initializers.values()].some((t) => beside(t) && t.data.kind === "inline")) return open(graph, folder);
  // The open session has the file mapped, and needs its name no more.
  return inFolder(scratch, async () => open(await writeData(graph, beside, folder, join(scratch, "weights")), scratch));
}
