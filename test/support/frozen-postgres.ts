import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestDatabase } from "./database.ts";

/** Halts a PostgreSQL as it stands, so that connections stay and nothing answers. Gives what lets it go on. */
export async function freeze({ store, dataDirectory }: Pick<TestDatabase, "store" | "dataDirectory">): Promise<() => void> {
  const lock = await readFile(join(dataDirectory, "postgres", "cluster", "postmaster.pid"), "utf8");
  // It first, or it would start others.
  const postmaster = Number(lock.split("\n")[0]);
  const rows = await store.prisma.$queryRaw<{ pid: number }[]>`SELECT pid FROM pg_stat_activity`;
  const all = [postmaster, ...rows.map(({ pid }) => pid)];
  const signal = (name: NodeJS.Signals) => {
    for (const pid of all)
      try {
        process.kill(pid, name);
      } catch (error) {
        // One of them has ended meanwhile.
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
  };
  signal("SIGSTOP");
  return () => signal("SIGCONT");
}
