/**
 * A thread that asks `/livez` again and again. Of each answer it knows how long it took, and how long the server's main thread computed
 * meanwhile: the first is what a monitor sees, the second what no other work of the machine can have caused.
 */
import { readFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";

const { url, pid } = workerData;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const tickMs = 10;

/** Of the server's main thread since it began, in steps of a clock tick; 0 where the system does not say. */
function computedMs() {
  try {
    const stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, "utf8");
    const [user, system] = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .slice(11, 13)
      .map(Number);
    return (user + system) * tickMs;
  } catch {
    return 0;
  }
}

const ask = () =>
  new Promise((resolve, reject) => {
    get(`${url}/livez`, { agent }, (response) => response.resume().on("end", () => resolve(response.statusCode))).on("error", reject);
  });

let figures = { answers: 0, failures: 0, silenceMs: 0, computedMs: 0 };
let over = false;
parentPort.on("message", (message) => {
  if (message === "over") over = true;
  parentPort.postMessage(figures);
  figures = { answers: 0, failures: 0, silenceMs: 0, computedMs: 0 };
});
while (!over) {
  const [begun, before] = [performance.now(), computedMs()];
  const status = await ask().catch(() => 0);
  figures.answers++;
  if (status !== 200) figures.failures++;
  figures.silenceMs = Math.max(figures.silenceMs, performance.now() - begun);
  figures.computedMs = Math.max(figures.computedMs, computedMs() - before);
  await delay(10);
}
agent.destroy();
parentPort.close();
