import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { promisify } from "node:util";
import type { RecoveryOptions } from "../../src/recovery/options.ts";
import { ahabFolder } from "../support/ahab.ts";
import { nodeArguments } from "../support/checkout.ts";

// The formula of docs/recovery.md: a process without a model, the weights of both models, 16 bytes for each number that is trained, and activations as foretold.

const mebibyte = 2 ** 20;
/** Node, ONNX Runtime and graphs. */
const processBytes = 256 * mebibyte;
const weightBytes = (folder: string): number =>
  readdirSync(folder).reduce((n, name) => n + (/\.(safetensors|data|onnx)$/.test(name) ? statSync(join(folder, name)).size : 0), 0);

async function step(method: string, options: Partial<RecoveryOptions>) {
  const args = [...nodeArguments("test/support/train-once"), ahabFolder, method, JSON.stringify(options)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as {
    rows: number;
    worksOutAnew: boolean;
    activationBytes: number;
    trained: number;
    opened: number;
    peak: number;
  };
}

for (const [method, options, rows, worksOutAnew] of [
  ["FULL", { batchSize: 16, sequenceLength: 128 }, 16, false],
  ["FULL", { batchSize: 16, sequenceLength: 128, activationBytes: 96 * mebibyte }, 4, false],
  ["LORA", { batchSize: 2, sequenceLength: 768, activationBytes: 96 * mebibyte }, 1, true],
] as const)
  it(`${method} ${JSON.stringify(options)} takes the memory that the formula gives`, async () => {
    const found = await step(method, options);
    assert.deepEqual([found.rows, found.worksOutAnew], [rows, worksOutAnew]);
    const of = (bytes: number) => `${(bytes / mebibyte).toFixed(0)} MiB`;
    const told = `${of(found.peak)} in all, ${of(found.peak - found.opened)} since it was opened; foretold of activations ${of(found.activationBytes)}`;
    const whole = processBytes + 2 * weightBytes(ahabFolder) + 16 * found.trained + found.activationBytes;
    assert.ok(found.peak < 1.1 * whole && found.peak > 0.7 * whole, `${told}, and ${of(whole)} in all`);
    // With what a first run takes besides: garbage of JavaScript, stacks of threads, workspace of attention over long texts.
    const grown = found.peak - found.opened;
    assert.ok(grown < 1.1 * found.activationBytes + 48 * mebibyte && grown > 0.6 * found.activationBytes, told);
  });
