import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Path of a folder, this process's own, that pruning may make for a while. */
export const scratch = join(tmpdir(), `espalier-test-${randomUUID()}`);
