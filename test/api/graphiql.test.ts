import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { examples } from "../../src/api/examples.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { newRun } from "../support/records.ts";

let api: TestApi;
before(async () => {
  api = await testApi();
});
after(() => api.close());

const origin = () => new URL(api.url).origin;

test("the page and all that it names come from the server itself", async () => {
  const front = await fetch(origin(), { headers: { accept: "text/html" } });
  assert.equal(front.url, api.url);
  assert.match(front.headers.get("content-type") ?? "", /text\/html/);
  const html = await front.text();
  const named = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address as string).filter((a) => !a.startsWith("data:"));
  assert.ok(named.length >= 5);
  for (const address of named) {
    assert.match(address, /^\/[^/]/);
    const { ok, headers } = await fetch(new URL(address, origin()));
    assert.ok(ok, address);
    assert.match(headers.get("content-type") ?? "", address.endsWith(".css") ? /text\/css/ : /javascript/);
  }
});

const browserPath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

test("in a browser it runs the examples, subscriptions included", {
  skip: browserPath ? false : "no Chromium is installed: CI installs Debian's, as root where apt is in reach",
}, async () => {
  const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
  const browser = await chromium.launch({
    executablePath: browserPath as string,
    args: [...flags, "--disable-component-update", "--disable-sync"],
  });
  try {
    const page = await browser.newPage();
    const [complaints, addresses]: [string[], string[]] = [[], []];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("request", (request) => addresses.push(new URL(request.url()).origin));
    await page.goto(api.url);
    const tabs = page.getByRole("tab");
    const names = examples.map(({ query }) => /^(?:query|mutation|subscription) (\w+)/m.exec(query)?.[1]);
    await tabs.nth(names.length - 1).waitFor();
    assert.deepEqual(
      (await tabs.allInnerTexts()).map((text) => text.trim()),
      names,
    );
    // The first example runs as it stands.
    await page.getByRole("button", { name: /execute query/i }).click();
    await page.locator(".result-window", { hasText: "1415520" }).waitFor();
    // The schema has been read: the button runs the subscription of a run that has one event and is over.
    const { id: runId } = await newRun(api.services.store);
    await api.data("mutation($id: ID!) { cancelPruning(id: $id) { id } }", { id: runId });
    await tabs.nth(2).click();
    const variables = page.locator(".graphiql-editor-tool .CodeMirror:visible").first();
    await variables.click();
    await page.keyboard.press("ControlOrMeta+A");
    await page.keyboard.insertText(JSON.stringify({ runId }));
    await page.getByRole("button", { name: /execute query/i }).click();
    await page.locator(".result-window", { hasText: "PruningCancelled" }).waitFor();
    assert.deepEqual(complaints, []);
    assert.deepEqual(
      [...new Set(addresses)].filter((address) => address !== "null"),
      [origin()],
    );
  } finally {
    await browser.close();
  }
});
