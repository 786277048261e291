import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  type GraphQLArgument,
  type GraphQLInputField,
  type GraphQLInputType,
  getNamedType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isRequiredArgument,
  isRequiredInputField,
} from "graphql";
import { rolesOf } from "../../src/api/needs.ts";
import { buildSchema } from "../../src/api/schema.ts";
import { type AccessRole, accessRoles, createToken } from "../../src/store/tokens.ts";
import { type Answer, type TestApi, testApi } from "../support/api.ts";

let api: TestApi;
const tokens = new Map<AccessRole, string>();
before(async () => {
  api = await testApi({ worker: false });
  for (const role of accessRoles)
    tokens.set(role, (await createToken(api.services.store.prisma, { name: role, role, expiresAt: null })).secret);
});
after(() => api.close());

/** Some value that a type takes. */
function valueFor(type: GraphQLInputType): string {
  if (isNonNullType(type)) return valueFor(type.ofType);
  if (isListType(type)) return `[${valueFor(type.ofType)}]`;
  if (isEnumType(type)) return type.getValues()[0]?.name ?? "";
  if (isInputObjectType(type)) return `{ ${Object.values(type.getFields()).filter(isRequiredInputField).map(given).join(", ")} }`;
  return (
    { ID: '"00000000-0000-7000-8000-000000000000"', String: '"x"', Int: "1", Float: "0.5", Boolean: "false" }[type.name] ??
    '"2999-01-01T00:00:00Z"'
  );
}
const given = ({ name, type }: GraphQLArgument | GraphQLInputField): string => `${name}: ${valueFor(type)}`;

const schema = buildSchema();
const operations = (["query", "mutation", "subscription"] as const).flatMap((kind) => {
  const type = schema.getRootType(kind as never);
  return Object.values(type?.getFields() ?? {}).map((field) => {
    const args = field.args.filter(isRequiredArgument).map(given).join(", ");
    const selection = isCompositeType(getNamedType(field.type)) ? "{ __typename }" : "";
    const needed = rolesOf(schema).get(`${type}.${field.name}`) as AccessRole;
    return { kind, name: field.name, needed, text: `${kind} { ${field.name}${args && `(${args})`} ${selection} }` };
  });
});

/** The first answer of an operation, over the transport that it is made for. */
async function firstAnswer({ kind, text }: (typeof operations)[0], token: string): Promise<Answer> {
  if (kind !== "subscription") return api.ask(text, {}, token);
  const client = api.socket(token);
  try {
    return await new Promise((resolve) => {
      client.subscribe(
        { query: text },
        { next: resolve as never, error: (errors) => resolve({ errors: errors as never }), complete: () => resolve({}) },
      );
    });
  } finally {
    void client.dispose();
  }
}

test("every query, mutation and subscription states its role, in words too", () => {
  assert.ok(operations.length >= 24);
  for (const { kind, name, needed } of operations) {
    assert.ok(accessRoles.includes(needed), name);
    assert.match(schema.getRootType(kind as never)?.getFields()[name]?.description ?? "", new RegExp(` Needs the role ${needed}\\.$`));
  }
});

for (const operation of operations) {
  test(`${operation.kind} ${operation.name} is for ${operation.needed} and above`, async () => {
    for (const [role, token] of tokens) {
      const { errors = [] } = await firstAnswer(operation, token);
      const refusals = errors.filter(({ extensions }) => extensions["code"] === "FORBIDDEN");
      const isEnough = accessRoles.indexOf(role) >= accessRoles.indexOf(operation.needed);
      assert.equal(refusals.length, isEnough ? 0 : 1, `${role}: ${JSON.stringify(errors)}`);
      if (isEnough) continue;
      assert.deepEqual(refusals[0]?.extensions, { code: "FORBIDDEN", needed: operation.needed, role });
      assert.equal(errors.length, 1);
    }
  });
}
