import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { codegen } from "@graphql-codegen/core";
import * as typescriptOperations from "@graphql-codegen/typescript-operations";
import eslintPlugin from "@graphql-eslint/eslint-plugin";
import { CriticalityLevel, diff } from "@graphql-inspector/core";
import { ESLint } from "eslint";
import { buildSchema as buildFrom, isInterfaceType, isObjectType, parse } from "graphql";
import { auditServer } from "graphql-http";
import ts from "typescript";
import { examples } from "../../src/api/examples.ts";
import { buildSchema, printedSchema } from "../../src/api/schema.ts";
import { type TestApi, testApi } from "../support/api.ts";

// What programs of others say of the API: of the schema, and of a server that runs.

let api: TestApi;
const folders: string[] = [];
before(async () => {
  api = await testApi({ worker: false });
});
after(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
  await api.close();
});

async function scratchFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "espalier-tools-"));
  folders.push(folder);
  return folder;
}

const printed = printedSchema();
const committed = readFileSync(new URL("../../schema.graphql", import.meta.url), "utf8");
const require = createRequire(import.meta.url);

interface Complaint {
  readonly rule: string;
  readonly message: string;
}

const statusOfRefusals =
  "a request that is refused has status 400 for whoever asks, so that proxies and monitors see it; the draft says 200 only to those who accept application/json";

/** What is deliberately otherwise than a tool has it: the tool, its rule, which of its complaints are meant, and why. */
const otherwise: readonly (readonly [tool: string, rule: string, complaint: RegExp, why: string])[] = [
  [
    "graphql-eslint",
    "strict-id-in-types",
    /^type "\w+"/,
    "what is part of something else, a page or a payload has no identity; all that has one is a Node",
  ],
  [
    "graphql-eslint",
    "relay-edge-types",
    /^A list type should only wrap/,
    "lists that are short (layers, files, iterations) are no connections",
  ],
  [
    "graphql-eslint",
    "relay-edge-types",
    /must implement `Node`/,
    "a score is a number of a run's iteration and has no identity, nor has what a run made of a matrix; what is told in short names the model that has one",
  ],
  ["graphql-http", "572B", /parsing failure when accepting application\/json/, statusOfRefusals],
  ["graphql-http", "FDE2", /validation failure when accepting application\/json/, statusOfRefusals],
  ["graphql-http", "7B9B", /variable coercion failure when accepting application\/json/, statusOfRefusals],
];

/** Every complaint of a tool is in the table, and of every line of it there is one. */
function requireExplained(tool: string, complaints: readonly Complaint[]): void {
  const meant = otherwise.filter(([of]) => of === tool);
  const fits = ([, rule, pattern]: (typeof otherwise)[number], c: Complaint) => c.rule === rule && pattern.test(c.message);
  assert.deepEqual(
    complaints.filter((complaint) => !meant.some((line) => fits(line, complaint))),
    [],
  );
  assert.deepEqual(
    meant.filter((line) => !complaints.some((complaint) => fits(line, complaint))),
    [],
    "nothing complains of that any more",
  );
}

test("graphql-eslint: the schema keeps the recommended rules and Relay's, but for what is meant otherwise", async () => {
  const { parser, configs, rules } = eslintPlugin;
  const eslint = new ESLint({
    overrideConfigFile: true,
    overrideConfig: [
      {
        files: ["**/*.graphql"],
        plugins: { "@graphql-eslint": { rules } as never },
        languageOptions: { parser: parser as never, parserOptions: { graphQLConfig: { schema: printed } } },
        rules: { ...configs["flat/schema-recommended"].rules, ...configs["flat/schema-relay"].rules },
      },
    ],
  });
  const [result] = await eslint.lintText(printed, { filePath: "schema.graphql" });
  const complaints = (result?.messages ?? []).map(({ ruleId, message }) => ({
    rule: ruleId?.replace("@graphql-eslint/", "") ?? "parsing",
    message,
  }));
  requireExplained("graphql-eslint", complaints);
  // What is allowed much is held to what it is allowed for.
  const schema = buildSchema();
  const node = schema.getType("Node");
  assert.ok(isInterfaceType(node));
  for (const { rule, message } of complaints) {
    const [, name] = rule === "strict-id-in-types" ? (/^type "(\w+)"/.exec(message) ?? []) : [];
    const type = name === undefined ? undefined : schema.getType(name);
    assert.ok(!isObjectType(type) || !type.getInterfaces().includes(node), `${name} is a Node`);
  }
  assert.equal(complaints.filter(({ message }) => message.includes("must implement `Node`")).length, 4);
});

test("graphql-inspector: the committed schema is that of the server, and what breaks clients is found", async () => {
  assert.deepEqual(await diff(buildFrom(committed), buildFrom(printed)), []);
  for (const [from, to] of [
    ["  deletedId: ID!\n", "  removedId: ID!\n"],
    ["    first: Int\n", "    first: Int!\n"],
    ["input RunSubjectInput @oneOf {", "input RunSubjectInput {\n  other: ID!\n"],
  ] as const) {
    assert.ok(printed.includes(from), from);
    const changes = await diff(buildFrom(printed), buildFrom(printed.replace(from, to)));
    assert.ok(
      changes.some(({ criticality }) => criticality.level === CriticalityLevel.Breaking),
      to,
    );
  }
});

/** What a page of Relay's would ask. */
const relaySource = `import { graphql } from "react-relay";
graphql\`
  fragment proof_models on Query
  @argumentDefinitions(count: { type: "Int", defaultValue: 10 }, cursor: { type: "String" })
  @refetchable(queryName: "proofModelsPageQuery") {
    models(first: $count, after: $cursor, orderBy: NAME, filter: { root: true }) @connection(key: "proof_models") {
      totalCount
      edges { node { ...proof_model } }
    }
  }
\`;
graphql\`
  fragment proof_model on Model @refetchable(queryName: "proofModelAgainQuery") {
    id name tags createdAt
    children(last: 3) { nodes { id } pageInfo { hasPreviousPage } }
  }
\`;
graphql\`query proofQuery($id: ID!) { ...proof_models node(id: $id) { ... on PruningRun { progress options { targetRatio } } } }\`;
graphql\`mutation proofStartMutation($input: StartPruningInput!) { startPruning(input: $input) { run { id status } } }\`;
graphql\`
  mutation proofDeleteMutation($input: DeleteModelInput!, $connections: [ID!]!) {
    deleteModel(input: $input) { deletedId @deleteEdge(connections: $connections) }
  }
\`;
graphql\`subscription proofSubscription($runId: ID!) { runProgress(runId: $runId) { sequence run { progress } } }\`;
`;

test("Relay's compiler takes the schema: connections, refetching by Node, deleted edges", async () => {
  const folder = await scratchFolder();
  await mkdir(join(folder, "src"));
  await writeFile(join(folder, "schema.graphql"), printed);
  await writeFile(join(folder, "src", "proof.ts"), relaySource);
  const customScalarTypes = { DateTime: "string", BigInt: "number" };
  const config = { src: "./src", schema: "./schema.graphql", language: "typescript", eagerEsModules: true, customScalarTypes };
  await writeFile(join(folder, "relay.config.json"), JSON.stringify(config));
  await promisify(execFile)(process.execPath, [require.resolve("relay-compiler/cli.js"), "relay.config.json"], { cwd: folder });
  assert.equal((await readdir(join(folder, "src", "__generated__"))).length, 8);
  await writeFile(join(folder, "src", "proof.ts"), relaySource.replace("options { targetRatio }", "targetRatio"));
  await assert.rejects(
    promisify(execFile)(process.execPath, [require.resolve("relay-compiler/cli.js"), "relay.config.json"], { cwd: folder }),
    "a field that is not there is an error",
  );
});

test("GraphQL Code Generator makes types of every example, and TypeScript takes them", async () => {
  const types = await codegen({
    schema: parse(printed),
    documents: examples.map(({ query }) => ({ document: parse(query) })),
    plugins: [{ typescriptOperations: {} }],
    pluginMap: { typescriptOperations },
    config: { scalars: { DateTime: "string", BigInt: "number" }, strictScalars: true },
    filename: "types.ts",
  });
  const use = `
    export const input: StartPruningMutationVariables = { input: { subject: { modelId: "m" }, dataset: { name: "d" } } };
    export const read = (data: StartPruningMutation): string => data.startPruning.run.id;
    // @ts-expect-error exactly one is given
    export const both: StartPruningMutationVariables = { input: { subject: { modelId: "m", resultOf: "r" }, dataset: { name: "d" } } };`;
  const file = join(await scratchFolder(), "types.ts");
  await writeFile(file, types + use);
  const program = ts.createProgram([file], { strict: true, noEmit: true, skipLibCheck: true, types: [], target: ts.ScriptTarget.ES2022 });
  assert.deepEqual(
    ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n")),
    [],
  );
});

test("graphql-http: the server keeps the audit of GraphQL over HTTP, but for what is meant otherwise", async () => {
  const results = await auditServer({ url: api.url });
  assert.ok(results.length > 50);
  const complaints = results
    .filter(({ status }) => status !== "ok")
    .map(({ id, status, name }) => ({ rule: id, message: `${status}: ${name}` }));
  requireExplained("graphql-http", complaints);
});
