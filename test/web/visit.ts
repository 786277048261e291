import assert from "node:assert/strict";
import type { Browser, Page } from "playwright-core";
import { examine, watch } from "./browser.ts";

/** A page of the dashboard, for several views one after another. */
export interface Visit {
  readonly page: Page;
  /** Goes to an address behind the `#`, and waits for its heading. */
  go(address: string, heading: string): Promise<void>;
  /** Fails if axe finds anything, in light or in dark, or if the page is wider than its window on a phone. */
  check(name: string): Promise<void>;
  /** Fails if anything went wrong in the browser's eyes. */
  close(): Promise<void>;
}

/** What scrolls to the side, and does not show it. */
const cutWithoutCue = `[...document.querySelectorAll("main *")]
  .filter((each) => ["auto", "scroll"].includes(getComputedStyle(each).overflowX) && each.scrollWidth > each.clientWidth + 1)
  .filter((each) => !getComputedStyle(each).backgroundImage.includes("gradient"))
  .map((each) => each.outerHTML.slice(0, 120))`;

const wide = { width: 1280, height: 860 };

export async function visit(browser: Browser, origin: string): Promise<Visit> {
  const context = await browser.newContext({ viewport: wide, reducedMotion: "reduce" });
  const { page, complaints } = await watch(context, origin);
  page.setDefaultTimeout(120_000);
  await page.goto(`${origin}/`);
  return {
    page,
    async go(address, heading) {
      await page.goto(`${origin}/#${address}`);
      await page.getByRole("heading", { level: 1, name: heading }).waitFor();
    },
    async check(name) {
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        await examine(page, `${name}-${colorScheme}`);
      }
      await page.emulateMedia({ colorScheme: "light" });
      await page.setViewportSize({ width: 360, height: 740 });
      await examine(page, `${name}-phone`);
      const overflow = await page.evaluate<number>("document.documentElement.scrollWidth - innerWidth");
      assert.ok(overflow <= 0, `${name} is ${overflow} pixels wider than a phone`);
      assert.deepEqual(await page.evaluate<string[]>(cutWithoutCue), [], `${name}: what is cut at the side has a shade there`);
      await page.setViewportSize(wide);
    },
    async close() {
      await context.close();
      assert.deepEqual(complaints, []);
    },
  };
}
