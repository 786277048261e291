import "./production.ts";
import { pino } from "pino";
import { readConfig } from "./config.ts";
import { EspalierError } from "./errors.ts";
import { type Espalier, start } from "./start.ts";

/** The program, whose argument may be its role: starts, says where it answers, and stops in good order at SIGINT or SIGTERM. A second signal ends it at once. */
async function main(): Promise<void> {
  const config = readConfig(undefined, process.argv[2]);
  // Standard output is for people; the log is not.
  const logger = pino({ level: config.logLevel }, pino.destination({ fd: 2, sync: true }));
  const signalled = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const)
      process.once(signal, () => {
        resolve(signal);
        for (const again of ["SIGINT", "SIGTERM"]) process.once(again, () => process.exit(1));
      });
  });
  const espalier: Espalier = await start(config, logger);
  if (espalier.firstToken) console.log(`The administrator's token, shown this once: ${espalier.firstToken}`);
  console.log(espalier.url ? `Espalier answers at ${espalier.url}` : "Espalier works on what is in its queue");
  logger.info({ signal: await signalled }, "stopping");
  await espalier.stop();
}

try {
  await main();
} catch (error) {
  console.error(error instanceof EspalierError ? `${error.message} [${error.code}]` : error);
  process.exitCode = 1;
}
