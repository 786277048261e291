import {
  type DirectiveNode,
  type DocumentNode,
  GraphQLIncludeDirective,
  type GraphQLNamedType,
  GraphQLObjectType,
  type GraphQLSchema,
  GraphQLSkipDirective,
  getArgumentValues,
  getDirectiveValues,
  getNamedType,
  isInterfaceType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from "graphql";
import { usualPage } from "../store/page.ts";
import type { Variables } from "./coerce-variables.ts";

/** What the cost of a field depends on. */
export interface CostArguments {
  readonly args: Readonly<Record<string, unknown>>;
  readonly childComplexity: number;
}

/** The cost of a page: all that may be on it. */
export const pageCost = ({ args, childComplexity }: CostArguments): number =>
  1 + Math.max(0, Number(args["last"] ?? args["first"] ?? usualPage)) * childComplexity;

/** The cost of a list without pages: as if of a dozen. */
export const listCost = ({ childComplexity }: CostArguments): number => 1 + 12 * childComplexity;

/** The cost of what makes a model compute: fields of a query are resolved at once, and some twenty of these are a request's share. */
export const computeCost = ({ childComplexity }: CostArguments): number => 1000 + childComplexity;

/**
 * Fields of an operation's answer at its largest, as the fields' own costs have it. Of types that exclude each other all are counted.
 *
 * @param document one that fits the schema
 * @param variables coerced
 */
export function complexityOf(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Variables,
): number {
  const fragments = new Map(document.definitions.flatMap((d) => (d.kind === Kind.FRAGMENT_DEFINITION ? [[d.name.value, d] as const] : [])));
  /** Of fragments: each is walked once, wherever it is spread. */
  const known = new Map<string, number>();

  const leftOut = (node: { readonly directives?: readonly DirectiveNode[] | undefined }): boolean =>
    getDirectiveValues(GraphQLSkipDirective, node, variables)?.["if"] === true ||
    getDirectiveValues(GraphQLIncludeDirective, node, variables)?.["if"] === false;

  const ofSet = (set: SelectionSetNode, type: GraphQLNamedType | undefined): number => {
    let sum = 0;
    for (const node of set.selections) {
      if (leftOut(node)) continue;
      if (node.kind === Kind.INLINE_FRAGMENT)
        sum += ofSet(node.selectionSet, node.typeCondition ? schema.getType(node.typeCondition.name.value) : type);
      else if (node.kind === Kind.FRAGMENT_SPREAD) sum += ofFragment(node.name.value);
      else {
        const field = type instanceof GraphQLObjectType || isInterfaceType(type) ? type.getFields()[node.name.value] : undefined;
        const childComplexity = node.selectionSet ? ofSet(node.selectionSet, field && getNamedType(field.type)) : 0;
        const cost = field?.extensions["complexity"] ?? 1 + childComplexity;
        sum += typeof cost === "function" ? cost({ args: getArgumentValues(field as never, node, variables), childComplexity }) : cost;
      }
    }
    return sum;
  };

  const ofFragment = (name: string): number => {
    const fragment = fragments.get(name);
    const sum = known.get(name) ?? (fragment ? ofSet(fragment.selectionSet, schema.getType(fragment.typeCondition.name.value)) : 0);
    known.set(name, sum);
    return sum;
  };

  const root = schema.getRootType(operation.operation);
  return ofSet(operation.selectionSet, root ?? undefined);
}
