import { ArgsType, type ClassType, Field, Int, ObjectType } from "type-graphql";
import { requireAll } from "../../services/validate.ts";
import type { Page, PageRequest } from "../../store/page.ts";

@ObjectType({ description: "Where a page lies in its list." })
export class PageInfo {
  @Field(() => Boolean, { description: "Whether the list goes on after this page." })
  readonly hasNextPage!: boolean;

  @Field(() => String, { nullable: true, description: "The cursor to ask the next page with, as `after`. Null on an empty page." })
  readonly endCursor!: string | null;
}

/** Records on a page of most lists. */
const largestPage = 100;
/** Scores on a page: rows are small, and an iteration has many. */
const largestScorePage = 1000;

@ArgsType()
export class PageArgs {
  @Field(() => Int, { defaultValue: 20, description: `How many to give, 1 to ${largestPage}.` })
  readonly first!: number;

  @Field(() => String, { nullable: true, description: "Give those after this cursor." })
  readonly after?: string | null;
}

@ArgsType()
export class ScorePageArgs {
  @Field(() => Int, { defaultValue: 20, description: `How many to give, 1 to ${largestScorePage}.` })
  readonly first!: number;

  @Field(() => String, { nullable: true, description: "Give those after this cursor." })
  readonly after?: string | null;
}

/** @throws EspalierError BAD_USER_INPUT if the page is too large */
export function pageRequest(args: PageArgs | ScorePageArgs): PageRequest {
  const { first, after } = args;
  const largest = args instanceof ScorePageArgs ? largestScorePage : largestPage;
  requireAll([["first", first >= 1 && first <= largest, `must be from 1 to ${largest}`]]);
  return { first, after };
}

export interface Connection<Node> {
  readonly edges: readonly { readonly cursor: string; readonly node: Node }[];
  readonly nodes: readonly Node[];
  readonly pageInfo: PageInfo;
}

/** A page of the store as a Relay connection. */
export function connect<Node>({ items, hasNextPage }: Page<Node>, cursorOf: (node: Node) => string): Connection<Node> {
  const edges = items.map((node) => ({ cursor: cursorOf(node), node }));
  return { edges, nodes: items, pageInfo: { hasNextPage, endCursor: edges.at(-1)?.cursor ?? null } };
}

/** The GraphQL type of a connection to nodes of a type, e.g. `ModelConnection`. */
export function connectionType<Node extends object>(nodeType: abstract new () => Node): ClassType<Connection<Node>> {
  @ObjectType(`${nodeType.name}Edge`, { description: `One ${nodeType.name} of a list, with its cursor.` })
  class Edge {
    @Field(() => String, { description: "The place in the list, to go on from." })
    readonly cursor!: string;

    @Field(() => nodeType, { description: "What is there." })
    readonly node!: Node;
  }

  @ObjectType(`${nodeType.name}Connection`, { description: `A page of a list.` })
  class NodeConnection implements Connection<Node> {
    @Field(() => [Edge], { description: "The page's records with their cursors." })
    readonly edges!: readonly Edge[];

    @Field(() => [nodeType], { description: "The page's records." })
    readonly nodes!: readonly Node[];

    @Field(() => PageInfo, { description: "Where the page lies in the list." })
    readonly pageInfo!: PageInfo;
  }
  return NodeConnection;
}
