// Preloaded into the server under attack: tells its memory after a collection of garbage, when asked to.
process.on("message", (message) => {
  if (message !== "memory") return;
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  process.send?.({ memory: heapUsed + external, rss: process.memoryUsage.rss() });
});
process.channel?.unref();
process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
// Not for the processes that the server forks.
const at = process.execArgv.indexOf(import.meta.url);
if (at > 0) process.execArgv.splice(at - 1, 2);
