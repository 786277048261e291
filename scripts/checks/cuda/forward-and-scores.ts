import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { decode } from "../../../src/onnx/decode.ts";
import { generateOn } from "./generate.ts";
import { placementOf, placementText } from "./placement.ts";
import { apart, type Report } from "./report.ts";
import { runOnZeros } from "./run-on-zeros.ts";
import { wholeScoreGraph } from "./score-graph.ts";
import { scoresOn } from "./scores.ts";

/** Logits, a token after the cache, and PIP's scores of all kinds of structures, of each graph on CUDA and on the CPU; and where its nodes ran. */
export async function forwardAndScores(report: Report, graphs: readonly { readonly name: string; readonly path: string }[]): Promise<void> {
  const placed = "nodes: on the GPU, on the CPU";
  report.heading(
    "model",
    "logits",
    "a token after the cache",
    "scores by output",
    "scores by weights",
    `forward ${placed}`,
    `score ${placed}`,
  );
  for (const { name, path } of graphs)
    await report.row(name, async () => {
      const folder = dirname(path);
      const model = decode(readFileSync(path));
      const root = basename(folder) === "onnx" ? dirname(folder) : folder;
      const onCpu = await generateOn("CPU", root);
      const onCuda = await generateOn("CUDA", root);
      const vocabulary = Math.min(onCpu.vocabulary, 500);
      const scores = async (by: "OUTPUT" | "WEIGHTS") =>
        report.difference(
          apart(await scoresOn("CPU", model, folder, by, vocabulary), await scoresOn("CUDA", model, folder, by, vocabulary)),
        );
      const forward = await placementOf(async (native) => {
        await generateOn("CUDA", root, native);
      });
      const { graph } = await wholeScoreGraph(model, folder, 4, 24);
      const scoring = await placementOf((native) => runOnZeros(graph, model, folder, { executionProvider: "CUDA", native }));
      return [
        report.difference(apart(onCpu.logits, onCuda.logits)),
        report.difference(apart(onCpu.next, onCuda.next)),
        await scores("OUTPUT"),
        await scores("WEIGHTS"),
        placementText(forward),
        placementText(scoring),
      ];
    });
}
