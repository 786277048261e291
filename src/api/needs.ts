import { type GraphQLField, type GraphQLSchema, OperationTypeNode } from "graphql";
import { type AuthCheckerFn, Authorized, Extensions } from "type-graphql";
import type { AccessRole } from "../store/tokens.ts";
import { requireRole } from "./access.ts";
import type { Context } from "./context.ts";

/** States the role that a query, mutation or subscription needs. Every one must state it. */
export const Needs =
  (role: AccessRole) =>
  (target: object, method: string, descriptor: PropertyDescriptor): void => {
    Authorized<AccessRole>(role)(target, method, descriptor);
    Extensions({ role })(target, method, descriptor);
  };

/** What type-graphql asks before it resolves a field, or subscribes to it, that `Needs` a role. @throws EspalierError FORBIDDEN */
export const authChecker: AuthCheckerFn<Context, AccessRole> = ({ context, info }, [needed]) => {
  if (needed) requireRole(context.caller, needed, info.fieldName);
  return needed !== undefined;
};

const rootFields = (schema: GraphQLSchema): [path: string, GraphQLField<unknown, Context>][] =>
  Object.values(OperationTypeNode).flatMap((operation) => {
    const type = schema.getRootType(operation);
    return Object.values(type?.getFields() ?? {}).map((field): [string, GraphQLField<unknown, Context>] => [
      `${type}.${field.name}`,
      field,
    ]);
  });

/** The role that each root field of a schema states, by `Type.field`. */
export const rolesOf = (schema: GraphQLSchema): ReadonlyMap<string, AccessRole | undefined> =>
  new Map(rootFields(schema).map(([path, { extensions }]) => [path, extensions["role"] as AccessRole | undefined]));

/**
 * Says of each root field, in its description, which role it needs.
 *
 * @throws Error if one states none: it would be open to everybody
 */
export function describeRoles(schema: GraphQLSchema): GraphQLSchema {
  const open = [...rolesOf(schema)].filter(([, role]) => role === undefined).map(([path]) => path);
  if (open.length > 0) throw new Error(`${open.join(", ")} must state a role, with @Needs`);
  for (const [, field] of rootFields(schema)) field.description = `${field.description} Needs the role ${field.extensions["role"]}.`;
  return schema;
}
