import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  type GraphQLNamedType,
  getOperationAST,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  parse,
  specifiedRules,
  validate,
} from "graphql";
import { checkRequest } from "../../src/api/check-request.ts";
import { examples } from "../../src/api/examples.ts";
import { boundedOperations } from "../../src/api/limits.ts";
import { buildSchema, printedSchema } from "../../src/api/schema.ts";
import { datasets } from "../../src/text/datasets.ts";

test("schema.graphql is what src/api says; if not, run: node --import tsx scripts/generate/schema.ts", () => {
  assert.equal(readFileSync(new URL("../../schema.graphql", import.meta.url), "utf8"), printedSchema());
});

test("every type, field, argument and enum value is described", () => {
  const undescribed: string[] = [];
  const check = (name: string, { description }: { readonly description?: string | null }) => {
    if (!description) undescribed.push(name);
  };
  function members(type: GraphQLNamedType) {
    if (isEnumType(type)) for (const value of type.getValues()) check(`${type}.${value.name}`, value);
    if (!isObjectType(type) && !isInterfaceType(type) && !isInputObjectType(type)) return;
    for (const field of Object.values(type.getFields())) {
      check(`${type}.${field.name}`, field);
      if ("args" in field) for (const arg of field.args) check(`${type}.${field.name}(${arg.name})`, arg);
    }
  }
  const schema = buildSchema();
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
  for (const type of Object.values(schema.getTypeMap()))
    if (!isIntrospectionType(type)) {
      if (!roots.includes(type as never)) check(type.name, type);
      members(type);
    }
  assert.deepEqual(undescribed, []);
});

test("a list says how many it gives at most: more of scores, and of models in short", () => {
  const told = Object.values(buildSchema().getTypeMap()).flatMap((type) =>
    isObjectType(type)
      ? Object.values(type.getFields()).flatMap(({ name, args, type: list }) =>
          args.filter((arg) => arg.name === "first").map((arg) => [`${type}.${name}`, String(list), arg.description] as const),
        )
      : [],
  );
  assert.ok(told.length >= 8);
  for (const [field, list, description] of told)
    assert.ok(
      description?.endsWith(
        `, 1 to ${/^(StructureScore|RemovedStructure)/.test(list) ? 1000 : list.startsWith("FamilyMember") ? 500 : 100}.`,
      ),
      field,
    );
});

test("every example of GraphiQL fits the schema and the limits, its variables too", () => {
  const schema = buildSchema();
  for (const { query, variables } of examples) {
    const document = parse(query);
    assert.deepEqual(validate(schema, document, [...specifiedRules, boundedOperations]), []);
    const operation = getOperationAST(document);
    assert.ok(operation);
    assert.deepEqual(checkRequest(schema, document, operation, variables), []);
  }
  const named = examples.map(({ variables }) => (variables["input"] as { dataset?: { name: string } } | undefined)?.dataset?.name);
  for (const name of named.filter((n) => n !== undefined))
    assert.ok(
      datasets.some((dataset) => dataset.name === name),
      name,
    );
});
