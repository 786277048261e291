// Preloaded into a command's server: when the command is gone, however it went, the server shuts down as on Ctrl-C.
process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
process.channel?.unref();
