/**
 * What the dashboard takes in a real browser, against a real server: how soon the family is seen, how smoothly it scrolls, and whether a page that
 * follows a run of many events grows or loses any.
 *
 *     npm run bench:dashboard -- --models 1000,10000 --rounds 5 --rate 50 --minutes 5
 *
 * Exits with 1 if the median of 1,000 models or fewer takes more than a second to be seen, if an event is lost or repeated, or if what the page
 * holds after collecting garbage has grown by more than a tenth, and a MiB, between the second quarter and the last.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Browser, Page } from "playwright-core";
import { startEmbeddedPostgres } from "../../src/postgres/embedded-postgres.ts";
import { mean } from "../../src/pruning/mean.ts";
import { recordPassing, recordStart } from "../../src/store/pruning-runs.ts";
import { claimRun } from "../../src/store/run-progress.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { launch } from "../../test/support/chromium.ts";
import { temporaryFolder } from "../../test/support/database.ts";
import { processorMsOf } from "../../test/support/processor-time.ts";
import { newRun } from "../../test/support/records.ts";
import { residentMiB, startApi } from "./api-process.ts";
import { fillFamily } from "./dashboard/fill.ts";
import { median } from "./median.ts";

interface Server {
  readonly store: Store;
  readonly origin: string;
  readonly api: ChildProcess;
}

/** A server on a database of its own. */
async function served<T>(work: (server: Server) => Promise<T>): Promise<T> {
  const dataDirectory = await temporaryFolder();
  const postgres = await startEmbeddedPostgres(dataDirectory);
  const store = await openStore(postgres.url);
  const { api, url } = await startApi(postgres.url, dataDirectory);
  try {
    return await work({ store, origin: new URL(url).origin, api });
  } finally {
    const exited = once(api, "exit");
    api.kill("SIGTERM");
    await exited;
    await store.close();
    await postgres.stop();
    await rm(dataDirectory, { recursive: true });
  }
}

/** In the page, before anything else: when the first model is on the screen, in milliseconds since the page was asked for. */
const noteFirst = `new MutationObserver((_, observer) => {
  if (!document.querySelector('[role="treeitem"]')) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { globalThis.firstSeenMs = performance.now(); }));
}).observe(document, { childList: true, subtree: true });`;

/** In the page: scrolls the family for two seconds, and tells of the frames. */
const scroll = `new Promise((resolve) => {
  const box = document.querySelector(".scroll");
  const frames = [];
  let last = performance.now();
  const begun = last;
  const step = (now) => {
    frames.push(now - last);
    last = now;
    box.scrollTop += 60;
    if (now - begun < 2000) requestAnimationFrame(step);
    else resolve({ frames: frames.sort((a, b) => a - b), elements: document.querySelectorAll("*").length });
  };
  requestAnimationFrame(step);
})`;

async function family(browser: Browser, many: number, rounds: number): Promise<boolean> {
  return served(async ({ store, origin, api }) => {
    await fillFamily(store, many);
    const [first, all, ofPage, ofServer]: [number[], number[], number[], number[]] = [[], [], [], []];
    let frames: number[] = [];
    let elements = 0;
    for (let round = 0; round < rounds; round++) {
      // A profile of its own: nothing is in its cache.
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
      const page = await context.newPage();
      page.setDefaultTimeout(120_000);
      await page.addInitScript(noteFirst);
      const session = await context.newCDPSession(page);
      // Time that the page's thread had a processor: what else the machine does has no part in it.
      await session.send("Performance.enable", { timeDomain: "threadTicks" });
      const before = processorMsOf(api.pid as number);
      await page.goto(`${origin}/#/`);
      await page.getByText(`${many.toLocaleString("en-US")} models`, { exact: true }).waitFor();
      all.push(await page.evaluate("performance.now()"));
      first.push(await page.evaluate("firstSeenMs"));
      ofServer.push(processorMsOf(api.pid as number) - before);
      const { metrics } = await session.send("Performance.getMetrics");
      ofPage.push(1000 * (metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0));
      ({ frames, elements } = await page.evaluate<{ frames: number[]; elements: number }>(scroll));
      await context.close();
    }
    const seen = median(first);
    const at = (share: number) => (frames[Math.floor(share * (frames.length - 1))] ?? 0).toFixed(0);
    console.log(
      `${many.toLocaleString("en-US")} models: seen after ${seen.toFixed(0)} ms (${first.map((ms) => ms.toFixed(0)).join(", ")}), all read after ${median(all).toFixed(0)} ms`,
    );
    console.log(
      `    processor time until all are read: the page ${median(ofPage).toFixed(0)} ms, the API ${median(ofServer).toFixed(0)} ms`,
    );
    console.log(`    scrolling: a frame takes ${at(0.5)} ms, p95 ${at(0.95)}, at most ${at(1)}; ${elements} elements`);
    return many > 1000 || seen <= 1000;
  });
}

/** What a page holds once garbage is collected. */
async function heapMiB(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize / 2 ** 20;
}

/** The numbers of the samples that the log tells of, each once and in order if nothing is lost. */
const told = async (page: Page): Promise<number[]> =>
  (await page.getByRole("log").locator("li").allInnerTexts()).flatMap((text) => /scored (\d+) of/.exec(text)?.[1] ?? []).map(Number);

async function events(browser: Browser, rate: number, minutes: number): Promise<boolean> {
  return served(async ({ store, origin, api }) => {
    const { id: runId } = await newRun(store);
    const claim = await claimRun(store, runId);
    if (!claim) throw new Error("the run cannot be claimed");
    await recordStart(store, claim, { executionProvider: "CPU", parameterCount: 1000, targetParameterCount: 1, candidates: 1 });
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    await page.goto(`${origin}/#/runs/${runId}`);
    await page.getByRole("log").waitFor();
    const [heap, server]: [number[], number[]] = [[], []];
    const total = Math.round(rate * 60 * minutes);
    const begun = performance.now();
    const writing = (async () => {
      for (let samplesDone = 1; samplesDone <= total; samplesDone++) {
        await recordPassing(store, claim, "SCORING", { iteration: 0, samplesDone, samplesTotal: total });
        await delay(Math.max(0, begun + (samplesDone * 1000) / rate - performance.now()));
      }
    })();
    let isOver = false;
    void writing.finally(() => {
      isOver = true;
    });
    const halfway = begun + minutes * 30_000;
    let isReloaded = false;
    while (!isOver) {
      await delay(Math.min(5000, (minutes * 60_000) / 24));
      heap.push(await heapMiB(page));
      server.push(residentMiB(api.pid as number));
      if (isReloaded || performance.now() < halfway) continue;
      await page.reload();
      isReloaded = true;
    }
    await writing;
    await page
      .getByRole("log")
      .locator("li")
      .filter({ hasText: `scored ${total} of` })
      .waitFor();
    const numbers = await told(page);
    const faults = numbers.filter((number, i) => i > 0 && number !== (numbers[i - 1] as number) + 1).length;
    const quarters = (of: readonly number[]) => [0, 1, 2, 3].map((q) => mean(of.slice((q * of.length) / 4, ((q + 1) * of.length) / 4)));
    const [ofPage, ofServer] = [quarters(heap), quarters(server)];
    const took = (performance.now() - begun) / 1000;
    console.log(`${total} events in ${took.toFixed(0)} s (${(total / took).toFixed(1)} a second), reloaded at half time`);
    console.log(`    the log's last ${numbers.length}, ${numbers[0]} to ${numbers.at(-1)}: ${faults} missing or repeated`);
    console.log(
      `    held by the page, by quarters: ${ofPage.map((of) => of.toFixed(1)).join(", ")} MiB; by the server ${ofServer.map((of) => of.toFixed(0)).join(", ")} MiB`,
    );
    const [, second = 0, , last = 0] = ofPage;
    return faults === 0 && numbers.at(-1) === total && last < Math.max(second * 1.1, second + 1);
  });
}

const { values } = parseArgs({
  options: {
    models: { type: "string", default: "1000,10000" },
    rounds: { type: "string", default: "5" },
    rate: { type: "string", default: "50" },
    minutes: { type: "string", default: "5" },
  },
});
const browser = await launch();
let isGood = true;
for (const many of values.models
  .split(",")
  .map(Number)
  .filter((number) => number > 0))
  isGood = (await family(browser, many, Number(values.rounds))) && isGood;
if (Number(values.minutes) > 0) isGood = (await events(browser, Number(values.rate), Number(values.minutes))) && isGood;
await browser.close();
process.exitCode = isGood ? 0 : 1;
