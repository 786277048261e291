import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

const browserPath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

/** For tests that need a browser. */
export const inBrowser = { skip: browserPath ? false : "no Chromium is installed: CI installs Debian's, as root where apt is in reach" };

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A page of the dashboard that keeps what its browser complains of. */
export interface Visit {
  readonly page: Page;
  /** Goes to an address behind the `#`, and waits for its heading. */
  go(address: string, heading: string): Promise<void>;
  /** Fails if axe finds anything, in light or in dark, or if the page is wider than its window on a phone. */
  check(name: string): Promise<void>;
  /** Fails if anything went wrong in the browser's eyes. */
  close(): Promise<void>;
}

export function launch(): Promise<Browser> {
  const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
  return chromium.launch({ executablePath: browserPath as string, args: [...flags, "--disable-component-update", "--disable-sync"] });
}

const wide = { width: 1280, height: 860 };

export async function visit(browser: Browser, origin: string): Promise<Visit> {
  const context = await browser.newContext({ viewport: wide, reducedMotion: "reduce", acceptDownloads: true });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
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
        await shoot(page, `${name}-${colorScheme}`);
        await page.evaluate(axeSource);
        const { violations } = await page.evaluate<{ violations: { id: string; nodes: { html: string }[] }[] }>("window.axe.run()");
        const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
        assert.deepEqual(found, [], `${name}, ${colorScheme}`);
      }
      await page.emulateMedia({ colorScheme: "light" });
      await page.setViewportSize({ width: 360, height: 740 });
      await shoot(page, `${name}-phone`);
      const overflow = await page.evaluate<number>("document.documentElement.scrollWidth - innerWidth");
      assert.ok(overflow <= 0, `${name} is ${overflow} pixels wider than a phone`);
      await page.setViewportSize(wide);
    },
    async close() {
      await context.close();
      assert.deepEqual(complaints, []);
    },
  };
}

/** Pictures for people: `SCREENSHOTS=folder` says where to put them. */
async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env["SCREENSHOTS"];
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}
