import { after, before } from "node:test";
import type { Browser } from "playwright-core";
import { type TestApi, testApi } from "../support/api.ts";
import { inBrowser, launch } from "../support/chromium.ts";
import { type Seeded, seed } from "./seeded.ts";
import { type Visit, visit } from "./visit.ts";

interface Visited {
  readonly api: TestApi;
  readonly seeded: Seeded;
  readonly there: Visit;
}

/** A server with data that is made up, whose dashboard the tests of a file visit one after another; no worker takes up what they start. It is there once they run. */
export function visited(): Visited {
  const found = {} as { -readonly [Part in keyof Visited]: Visited[Part] };
  let browser: Browser | undefined;
  before(async () => {
    if (inBrowser.skip) return;
    found.api = await testApi({ worker: false });
    found.seeded = await seed(found.api.services.store);
    browser = await launch();
    found.there = await visit(browser, new URL(found.api.url).origin);
  });
  after(async () => {
    await browser?.close();
    await found.api?.close();
  });
  return found;
}
