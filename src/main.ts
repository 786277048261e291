#!/usr/bin/env node
import "./production.ts";
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { commands } from "./commands/commands.ts";
import { EspalierError } from "./errors.ts";
import { version } from "./version.ts";

// As the flag does, here and in the processes that are forked: a command that npm installed is started without flags.
process.setSourceMapsEnabled(true);
process.execArgv.push("--enable-source-maps");

const program = yargs(hideBin(process.argv))
  .scriptName("espalier")
  .usage("$0 COMMAND\n\nPrunes transformer language models and serves what is left.")
  .locale("en")
  .wrap(110)
  .parserConfiguration({ "duplicate-arguments-array": false })
  .strict()
  .demandCommand(1, "Name a command.")
  .recommendCommands()
  .version(version)
  .completion("completion", "Prints a script that completes commands and options in bash and zsh")
  .epilogue("`espalier COMMAND --help` says what a command takes.")
  .fail((message, error, command) => {
    // YError is of yargs: what was typed is not how the command is called.
    if (error && error.name !== "YError") throw error;
    command.showHelp();
    throw new EspalierError("USAGE", `\n${message ?? error.message}`);
  });
for (const add of commands) add(program);

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof EspalierError ? `${error.message} [${error.code}]` : error);
  process.exitCode ||= error instanceof EspalierError && error.code === "USAGE" ? 2 : 1;
}
