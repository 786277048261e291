import { pino } from "pino";
import type { Argv } from "yargs";
import { type Config, readConfig, settingsInWords } from "../config.ts";

/** Starts what the configuration says, tells where it answers, and stops in good order at SIGINT or SIGTERM. A second signal ends it at once. */
async function serve(config: Config): Promise<void> {
  // Standard output is for people; the log is not.
  const logger = pino({ level: config.logLevel }, pino.destination({ fd: 2, sync: true }));
  const signalled = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const)
      process.once(signal, () => {
        resolve(signal);
        for (const again of ["SIGINT", "SIGTERM"]) process.once(again, () => process.exit(1));
      });
  });
  const { start } = await import("../start.ts");
  const espalier = await start(config, logger);
  if (espalier.firstToken) console.log(`The administrator's token, shown this once: ${espalier.firstToken}`);
  console.log(espalier.url ? `Espalier answers at ${espalier.url}` : "Espalier works on what is in its queue");
  console.log(`Its data lies in ${config.dataDirectory}, and models are registered from ${config.modelRoot}`);
  logger.info({ signal: await signalled }, "stopping");
  await espalier.stop();
}

const settings = `Settings are environment variables:\n${settingsInWords.map((words) => `  ${words.join(" ")}`).join("\n")}`;

/** @param role null: what the environment says */
const serving = (name: string, role: Config["role"] | null, words: string) => (program: Argv) =>
  program.command(
    name,
    words,
    (command) => command.epilogue(settings),
    () => serve(readConfig(undefined, role ?? undefined)),
  );

export const start = serving("start", null, "Serves the API and does its jobs, on a PostgreSQL of its own or on yours");
export const api = serving("api", "api", "Serves the API alone; as many as you like share one database");
export const worker = serving("worker", "worker", "Does jobs alone: prunes and evaluates for servers on the same database");
