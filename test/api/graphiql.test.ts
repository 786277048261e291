import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { examples } from "../../src/api/examples.ts";
import { cancelRun } from "../../src/store/runs.ts";
import { createToken } from "../../src/store/tokens.ts";
import { bearing, type TestApi, testApi } from "../support/api.ts";
import { inBrowser, launch } from "../support/chromium.ts";
import { newRun } from "../support/records.ts";

let api: TestApi;
before(async () => {
  api = await testApi();
});
after(() => api.close());

const origin = () => new URL(api.url).origin;

test("the page and all that it names come from the server itself", async () => {
  const front = await fetch(api.url, { headers: { accept: "text/html" } });
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

/** Types into the editor below the query, in place of what is there. */
async function fill(page: Page, value: object): Promise<void> {
  await page.locator(".graphiql-editor-tool .CodeMirror:visible").first().click();
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.insertText(JSON.stringify(value));
}

test("in a browser it runs the examples, subscriptions included", inBrowser, async () => {
  const browser = await launch();
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
    await api.data("mutation($id: ID!) { cancelRun(input: { id: $id }) { run { id } } }", { id: runId });
    await tabs.nth(2).click();
    await fill(page, { runId });
    await page.getByRole("button", { name: /execute query/i }).click();
    await page.locator(".result-window", { hasText: "RunCancelled" }).waitFor();
    assert.deepEqual(complaints, []);
    assert.deepEqual(
      [...new Set(addresses)].filter((address) => address !== "null"),
      [origin()],
    );
  } finally {
    await browser.close();
  }
});

test("in a browser a token is shown among the headers, for subscriptions too", inBrowser, async () => {
  const closed = await testApi({ worker: false });
  const browser = await launch();
  try {
    const { store } = closed.services;
    const { secret } = await createToken(store.prisma, { name: "browser", role: "READ", expiresAt: null });
    const { id: runId } = await newRun(store);
    await cancelRun(store, runId);
    const page = await browser.newPage();
    await page.goto(closed.url);
    await page.getByRole("tab").nth(2).click();
    await fill(page, { runId });
    await page.getByRole("button", { name: /^headers$/i }).click();
    await fill(page, bearing(secret));
    await page.getByRole("button", { name: /execute query/i }).click();
    await page.locator(".result-window", { hasText: "RunCancelled" }).waitFor();
    // The schema is read with the token too.
    await page.getByRole("button", { name: /re-fetch graphql schema/i }).click();
    await page.getByRole("button", { name: /documentation explorer/i }).click();
    await page
      .getByText("Needs the role")
      .first()
      .or(page.getByRole("link", { name: "Query" }))
      .first()
      .waitFor();
  } finally {
    await browser.close();
    await closed.close();
  }
});
