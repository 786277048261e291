import { type FieldNode, type FragmentSpreadNode, GraphQLError, type InlineFragmentNode, Kind, type ValidationRule } from "graphql";

/**
 * Validation rule: what a subscription selects may not be left out by `@skip` or `@include`, for a subscription to nothing has
 * no events. GraphQL's own rules have it since September 2025; see "Single Root Field" in the specification.
 */
export const unconditionalSubscriptions: ValidationRule = (context) => ({
  OperationDefinition(operation) {
    if (operation.operation !== "subscription") return;
    const seen = new Set<string>();
    const check = (node: FieldNode | InlineFragmentNode | FragmentSpreadNode): void => {
      const nodes = node.directives?.filter(({ name }) => name.value === "skip" || name.value === "include") ?? [];
      if (nodes.length > 0) {
        const message = `@${nodes[0]?.name.value} is not allowed on what a subscription subscribes to, only on fields within it`;
        context.reportError(new GraphQLError(message, { nodes }));
      }
      if (node.kind === Kind.INLINE_FRAGMENT) node.selectionSet.selections.forEach(check);
      if (node.kind !== Kind.FRAGMENT_SPREAD || seen.has(node.name.value)) return;
      seen.add(node.name.value);
      context.getFragment(node.name.value)?.selectionSet.selections.forEach(check);
    };
    operation.selectionSet.selections.forEach(check);
  },
});
