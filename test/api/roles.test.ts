import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { GraphQLObjectType, GraphQLSchema, GraphQLString, getNamedType, isCompositeType, isRequiredArgument } from "graphql";
import { describeRoles, rolesOf } from "../../src/api/needs.ts";
import { buildSchema } from "../../src/api/schema.ts";
import { type AccessRole, accessRoles, createToken } from "../../src/store/tokens.ts";
import { type Answer, type TestApi, testApi } from "../support/api.ts";
import { filler } from "../support/filler.ts";

let api: TestApi;
const tokens = new Map<AccessRole, string>();
before(async () => {
  api = await testApi({ worker: false });
  for (const role of accessRoles)
    tokens.set(role, (await createToken(api.services.store.prisma, { name: role, role, expiresAt: null })).secret);
});
after(() => api.close());

const schema = buildSchema();
const operations = (["query", "mutation", "subscription"] as const).flatMap((kind) => {
  const type = schema.getRootType(kind as never);
  return Object.values(type?.getFields() ?? {}).map((field) => {
    const args = field.args.filter(isRequiredArgument);
    const selection = isCompositeType(getNamedType(field.type)) ? "{ __typename }" : "";
    const declared = args.map((arg) => `$${arg.name}: ${arg.type}`).join(", ");
    const given = args.map((arg) => `${arg.name}: $${arg.name}`).join(", ");
    const query = `${kind} ${declared && `(${declared})`} { ${field.name}${given && `(${given})`} ${selection} }`;
    const variables = Object.fromEntries(args.map((arg) => [arg.name, filler(arg.type)]));
    return { kind, name: field.name, needed: rolesOf(schema).get(`${type}.${field.name}`) as AccessRole, query, variables };
  });
});

/** The first answer of an operation, over the transport that it is made for. */
async function firstAnswer({ kind, query, variables }: (typeof operations)[0], token: string): Promise<Answer> {
  if (kind !== "subscription") return api.ask(query, variables, token);
  const client = api.socket(token);
  try {
    return await new Promise((resolve) => {
      client.subscribe(
        { query, variables },
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

test("a root field that states no role keeps the server from starting", () => {
  const bare = new GraphQLSchema({ query: new GraphQLObjectType({ name: "Query", fields: { everything: { type: GraphQLString } } }) });
  assert.throws(() => describeRoles(bare), /Query\.everything must state a role/);
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
