import { ask } from "./ask.ts";
import { graphql } from "./graphql.ts";
import { follow } from "./live.svelte.ts";
import { session } from "./session.svelte.ts";

const viewerDocument = graphql(`
  query Viewer {
    changesCursor
    viewer { role tokenName serverVersion }
  }
`);

/** Asks the server who this is. @throws Failure UNREACHABLE; a token that is asked for is the session's to say */
export async function enter(): Promise<void> {
  const { viewer, changesCursor } = await ask(viewerDocument, {});
  session.known(viewer.role, viewer.tokenName, viewer.serverVersion);
  follow(changesCursor);
}
