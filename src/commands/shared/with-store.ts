import { type Config, readConfig } from "../../config.ts";
import type { Store } from "../../store/store.ts";

/** Does something with the configured database, or with the embedded one, which is started for it and stopped again. */
export async function withStore<Result>(use: (store: Store, config: Config) => Promise<Result>): Promise<Result> {
  const config = readConfig();
  const { startEmbeddedPostgres } = await import("../../postgres/embedded-postgres.ts");
  const { openStore } = await import("../../store/store.ts");
  const postgres = config.databaseUrl === null ? await startEmbeddedPostgres(config.dataDirectory) : null;
  try {
    const store = await openStore(config.databaseUrl ?? postgres?.url ?? "");
    try {
      return await use(store, config);
    } finally {
      await store.close();
    }
  } finally {
    await postgres?.stop();
  }
}
