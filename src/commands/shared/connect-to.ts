import { accessToken } from "../../config.ts";
import { EspalierError } from "../../errors.ts";
import { type Client, connect } from "./client.ts";

/** A client of the server at an address, with the token of the environment. @throws EspalierError USAGE if it is no address */
export function connectTo(server: string): Client {
  if (!URL.canParse(server)) throw new EspalierError("USAGE", `--server ${server} is no address`);
  return connect(new URL("/graphql", server).href, accessToken());
}
