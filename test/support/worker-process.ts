/** A worker on the database and data directory given, in a process of its own that can be killed. */
import { pino } from "pino";
import { Queue } from "../../src/jobs/queue.ts";
import { startWorker } from "../../src/jobs/worker.ts";
import { openStore } from "../../src/store/store.ts";
import { modelRoot } from "./ahab.ts";

const [url, dataDirectory] = process.argv.slice(2) as [string, string];
const logger = pino({ level: "silent" });
const store = await openStore(url);
const queue = await Queue.open(store, logger);
const worker = await startWorker(queue, { store, dataDirectory, modelRoot, hub: { address: null, token: null }, logger });
process.on("message", async () => {
  await worker.stop();
  await queue.close();
  await store.close();
  process.exit();
});
process.send?.("ready");
