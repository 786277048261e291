import type { ImportOrigin } from "../store/runs.ts";
import { chosenOf } from "./one-of.ts";
import type { ModelSourceInput } from "./types/import.ts";

/** Where a client says that a model's files are. */
export function originOf(source: ModelSourceInput): ImportOrigin {
  const given = chosenOf(source);
  if ("path" in given) return { kind: "PATH", path: given.path };
  if ("uploadId" in given) return { kind: "UPLOAD", uploadId: given.uploadId };
  const { repository, revision, files = null } = given.hub;
  return { kind: "HUB", repository, revision, files };
}
