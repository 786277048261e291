import type { Logger } from "pino";
import type { Store } from "../store/store.ts";

/** Aborts `lost` once the claim on a job stands no more: it was cancelled, or another worker has it. Returns once `over` aborts. */
export async function watchClaim(
  { store, logger }: { readonly store: Store; readonly logger: Logger },
  jobId: string,
  holds: () => Promise<boolean>,
  lost: AbortController,
  over: AbortSignal,
): Promise<void> {
  const watch = store.listener.watch(jobId);
  try {
    for (; !over.aborted; await watch.wait(over)) {
      const held = await holds().catch((error) => {
        logger.warn({ err: error, jobId }, "cannot see whether the job was cancelled");
        return true;
      });
      if (!held) return lost.abort();
    }
  } finally {
    watch.close();
  }
}
