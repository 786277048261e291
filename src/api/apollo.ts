import type { Server } from "node:http";
import { ApolloServer, type ApolloServerPlugin, HeaderMap } from "@apollo/server";
import { ApolloServerPluginCacheControlDisabled, ApolloServerPluginLandingPageDisabled } from "@apollo/server/plugin/disabled";
import { ApolloServerPluginDrainHttpServer } from "@apollo/server/plugin/drainHttpServer";
import type { GraphQLSchema } from "graphql";
import type { Logger } from "pino";
import { checkRequest } from "./check-request.ts";
import type { Context } from "./context.ts";
import { limits } from "./limits.ts";
import { ownRules } from "./operation.ts";
import { presentError, presentGraphQLError } from "./present-error.ts";
import { schemaAnswers } from "./schema-answers.ts";

/** An answer that says that the server stops has so long to reach its client. */
const farewellMs = 2000;

/** Answers operations that are not to be carried out. */
const refusing = (schema: GraphQLSchema, log: Logger): ApolloServerPlugin<Context> => ({
  requestDidStart: async () => ({
    responseForOperation: async ({ document, operation, request }) => {
      // Apollo's types say that there always is one; where there is none, execution says so.
      const errors = operation ? checkRequest(schema, document, operation, request.variables ?? {}) : [];
      if (errors.length === 0) return null;
      const singleResult = { errors: errors.map((error) => presentGraphQLError(log, error)) };
      return { http: { status: 400, headers: new HeaderMap() }, body: { kind: "single", singleResult } };
    },
  }),
});

/**
 * Carries out queries and mutations that come over HTTP, once it is started.
 *
 * @param graceMs requests under way when it stops may take this long to finish
 * @param drain is called when it stops: ends what it does not know of
 */
export const openApollo = (schema: GraphQLSchema, http: Server, graceMs: number, drain: () => Promise<void>, log: Logger) =>
  new ApolloServer<Context>({
    schema,
    introspection: true,
    // `requireFitting` sees to it: Apollo's own refuses every GET without a header of its liking.
    csrfPrevention: false,
    allowBatchedHttpRequests: false,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    persistedQueries: false,
    parseOptions: { maxTokens: limits.tokens },
    validationRules: [...ownRules],
    validationOptions: { maxErrors: limits.errors },
    formatError: (formatted, error) => presentError(log, formatted, error),
    logger: log,
    plugins: [
      refusing(schema, log),
      schemaAnswers(),
      ApolloServerPluginDrainHttpServer({ httpServer: http, stopGracePeriodMillis: graceMs + farewellMs }),
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      { serverWillStart: async () => ({ drainServer: drain }) },
    ],
  });
