// Preloaded into a command's server: when the command is gone, however it went, the server shuts down as on Ctrl-C.
process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
process.channel?.unref();
// Not for the processes that the server forks: one whose channel does not count ends as soon as it has nothing else to wait for.
const at = process.execArgv.indexOf(import.meta.url);
if (at > 0) process.execArgv.splice(at - 1, 2);
