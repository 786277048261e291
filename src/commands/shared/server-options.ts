import { serverHere } from "../../config.ts";

/** Which server a command is a client of. Its token, where it wants one, is in ESPALIER_TOKEN: options are seen by all of a machine. */
export const serverOptions = {
  server: {
    type: "string",
    requiresArg: true,
    default: serverHere(),
    describe: "the server's address; ESPALIER_TOKEN holds the token, if it wants one",
  },
} as const;
