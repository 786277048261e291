import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const path = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

/** For tests that need a browser. */
export const inBrowser = { skip: path ? false : "no Chromium is installed: CI installs Debian's, as root where apt is in reach" };

/** A browser that asks nothing of its maker's servers. */
export function launch(): Promise<Browser> {
  const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
  return chromium.launch({ executablePath: path as string, args: [...flags, "--disable-component-update", "--disable-sync"] });
}
