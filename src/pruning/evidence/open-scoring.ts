import { encode } from "../../onnx/encode.ts";
import type { Model, TypedGraph } from "../../onnx/ir.ts";
import { openSession, type Session } from "../../runtime/session.ts";
import type { Scene } from "./evidence.ts";

/** A session over a graph made of a scene's model, whose weights beside the graph are mapped. It runs a few times, so that memory counts for more than speed. */
export const openScoring = ({ folder, executionProvider }: Scene, model: Model, { graph, opsets }: TypedGraph): Promise<Session> =>
  openSession({ bytes: encode({ ...model, opsets, graph }), externalFolder: folder }, { executionProvider, lean: true });
