/**
 * Prints how large a production install is, package by package: packs the checkout and installs it in an empty folder.
 *
 *     npm run size
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installedSizes, installPacked, pack, sizesInWords } from "./package.ts";

const folder = mkdtempSync(join(tmpdir(), "espalier-size-"));
try {
  const installed = join(folder, "installed");
  installPacked(pack(folder), installed);
  console.log(sizesInWords(installedSizes(installed)));
} finally {
  rmSync(folder, { recursive: true });
}
