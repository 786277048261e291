/**
 * Writes test/fixtures/cuda-kernels.json: which operators ONNX Runtime runs on CUDA, for which opsets and element types.
 * Run it on the kernel table that ONNX Runtime publishes with each release:
 *
 *     node --import tsx scripts/generate/cuda-kernels.ts path/to/onnxruntime/docs/OperatorKernels.md "ONNX Runtime 1.24"
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseKernelTable } from "../../test/support/kernel-table.ts";

const [table, release] = process.argv.slice(2);
if (!table || !release) throw new Error('usage: cuda-kernels.ts <OperatorKernels.md> "<release>"');
const operators = parseKernelTable(readFileSync(table, "utf8"), "CUDAExecutionProvider", ["ai.onnx", "com.microsoft"]);
const rows = Object.entries(operators).map(([name, operator]) => `    ${JSON.stringify(name)}: ${JSON.stringify(operator)}`);
const json = `{\n  "source": ${JSON.stringify(`${release}, CUDAExecutionProvider`)},\n  "operators": {\n${rows.join(",\n")}\n  }\n}\n`;
writeFileSync(fileURLToPath(new URL("../../test/fixtures/cuda-kernels.json", import.meta.url)), json);
