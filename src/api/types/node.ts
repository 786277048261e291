import { Field, ID, InterfaceType } from "type-graphql";

/** Marks a record with the name of its GraphQL type, for `Node` to tell its implementations apart. */
export interface Named {
  readonly __typename: string;
}

@InterfaceType({
  description: "What has an identity of its own, by which `node` finds it.",
  resolveType: ({ __typename }: Named) => __typename,
})
export abstract class Node {
  @Field(() => ID, { description: "Its identity." })
  readonly id!: string;
}
