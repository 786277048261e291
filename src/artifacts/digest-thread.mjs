// A thread that reads files for their digests; digests.ts starts it and says what it is sent. It is plain JavaScript, for in development the
// threads of Node 20 do not take on the loader of TypeScript.
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { parentPort } from "node:worker_threads";

/** One buffer for all files. Large, for each read and write is a call into the system. */
const chunk = Buffer.allocUnsafe(1 << 20);

/**
 * Reads a file once, and copies it meanwhile if it is said where to.
 *
 * @param {import("./digests.ts").DigestJob} job
 * @returns {import("./digests.ts").DigestAnswer}
 */
function readThrough({ id, path, copyTo }) {
  const source = openSync(path, "r");
  try {
    const target = copyTo === null ? null : openSync(copyTo, "wx", 0o600);
    try {
      const hash = createHash("sha256");
      let sizeBytes = 0;
      for (let n = readSync(source, chunk); n > 0; n = readSync(source, chunk)) {
        hash.update(chunk.subarray(0, n));
        sizeBytes += n;
        for (let done = 0; target !== null && done < n; ) done += writeSync(target, chunk, done, n - done);
      }
      return { id, sha256: hash.digest("hex"), sizeBytes };
    } finally {
      if (target !== null) closeSync(target);
    }
  } finally {
    closeSync(source);
  }
}

parentPort?.on("message", (job) => {
  try {
    parentPort?.postMessage(readThrough(job));
  } catch (error) {
    parentPort?.postMessage({ id: job.id, failed: { message: error.message, code: error.code } });
  }
});
