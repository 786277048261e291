import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";

/** Where pictures of the views are kept, to be looked at: `ESPALIER_SCREENSHOTS`, or a folder of its own. */
const pictures = process.env["ESPALIER_SCREENSHOTS"] ?? mkdtempSync(join(tmpdir(), "espalier-dashboard-"));
mkdirSync(pictures, { recursive: true });

/** A page, and what it complained of: errors in its console, exceptions, requests to elsewhere. */
export interface Watched {
  readonly page: Page;
  readonly complaints: string[];
}

export async function watch(context: BrowserContext, origin: string): Promise<Watched> {
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("request", (request) => {
    const from = new URL(request.url()).origin;
    if (from !== origin && from !== "null") complaints.push(`a request to ${from}`);
  });
  return { page, complaints };
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Holds the page as it is to axe's rules, and takes its picture. */
export async function examine(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(pictures, `${name}.png`) });
  await page.evaluate(axe);
  const violations = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> };
    };
    const { violations } = await axe.run();
    return violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`).join(" | ")}`,
    );
  });
  assert.deepEqual(violations, [], name);
}
