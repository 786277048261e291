import type { FastifyInstance, FastifyReply } from "fastify";

const everybody = { config: { needs: null } } as const;

/**
 * For monitors: `/livez` says whether the process answers, `/readyz` whether it can do its work, that is, whether the database answers and
 * it is not about to stop. `/healthz` is another name of `/readyz`.
 */
export function serveHealth(app: FastifyInstance, databaseAnswers: () => Promise<boolean>, stopping: () => boolean): void {
  app.get("/livez", everybody, () => ({ live: true }));
  const ready = async (_request: unknown, reply: FastifyReply) => {
    const reason = stopping() ? "SERVER_STOPPING" : (await databaseAnswers()) ? null : "DATABASE_UNAVAILABLE";
    return reason === null ? { ready: true } : reply.code(503).send({ ready: false, reason });
  };
  app.get("/readyz", everybody, ready);
  app.get("/healthz", everybody, ready);
}
