import assert from "node:assert/strict";
import { test } from "node:test";
import { type GraphQLSchema, type OperationDefinitionNode, parse } from "graphql";
import { coerceVariables, type Variables } from "../../src/api/coerce-variables.ts";
import { buildSchema } from "../../src/api/schema.ts";
import { processorMs } from "../support/processor-time.ts";

const schema: GraphQLSchema = buildSchema();
const { definitions } = parse("mutation($i: GenerateInput!) { generate(input: $i) { text } }");
const wrong = (i: Variables): readonly string[] =>
  coerceVariables(schema, definitions[0] as OperationDefinitionNode, { i }).errors.map(({ message }) => message);

test("a name that is nearly right is told beside what is right", () => {
  const told = wrong({ modelId: "1", promt: "The whale", executionProvider: "CPUU", stop: "x".repeat(100_000) });
  assert.match(told.join("\n"), /"promt" is not defined by type "GenerateInput"\. Did you mean "prompt"\?/);
  assert.match(told.join("\n"), /"CPUU" does not exist .*Did you mean the enum value "CPU"/);
});

const long = "x".repeat(4_000_000);
const prompt = { text: "The whale" };
for (const [what, given] of Object.entries({
  "an enum's value": { modelId: "1", prompt, executionProvider: long },
  "a field's name": { modelId: "1", prompt, [long]: 0 },
  "an enum's value, within a list": { modelId: "1", prompt, executionProvider: [long] },
}))
  test(`nothing alike is looked for where ${what} has 4 MB`, async () => {
    const taken = [];
    for (let i = 0; i < 4; i++) taken.push(await processorMs(() => assert.equal(wrong(given).length, 1)));
    assert.ok(Math.min(...taken) < 60, `${taken} ms`);
  });
