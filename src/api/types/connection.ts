import { ArgsType, type ClassType, Field, Int, ObjectType } from "type-graphql";
import { blaming, requireAll } from "../../rules/validate.ts";
import { type Listing, mostCounted, type PageRequest, usualPage } from "../../store/page.ts";

@ObjectType({ description: "Where a page lies in its list." })
export class PageInfo {
  @Field(() => Boolean, { description: "Whether the list goes on after this page. True of every page that was asked for with `before`." })
  readonly hasNextPage!: boolean;

  @Field(() => Boolean, { description: "Whether there is something before this page. True of every page that was asked for with `after`." })
  readonly hasPreviousPage!: boolean;

  @Field(() => String, { nullable: true, description: "The cursor to ask the page before with, as `before`. Null on an empty page." })
  readonly startCursor!: string | null;

  @Field(() => String, { nullable: true, description: "The cursor to ask the next page with, as `after`. Null on an empty page." })
  readonly endCursor!: string | null;
}

/** The arguments of a list whose pages have up to so many. */
function pageArgs(largest: number) {
  @ArgsType()
  class Args {
    static readonly largest = largest;

    @Field(() => Int, {
      nullable: true,
      description: `Give so many from the beginning, or after \`after\`. ${usualPage} unless \`last\` is given, 1 to ${largest}.`,
    })
    readonly first?: number | null;

    @Field(() => String, { nullable: true, description: "Give those after this cursor." })
    readonly after?: string | null;

    @Field(() => Int, { nullable: true, description: `Give so many from the end, or before \`before\`, 1 to ${largest}.` })
    readonly last?: number | null;

    @Field(() => String, { nullable: true, description: "Give those before this cursor; with `last`." })
    readonly before?: string | null;
  }
  return Args;
}

export const PageArgs = pageArgs(100);
export type PageArgs = InstanceType<typeof PageArgs>;

/** Models in short: a picture of them all takes thousands. */
export const FamilyPageArgs = pageArgs(500);
export type FamilyPageArgs = InstanceType<typeof FamilyPageArgs>;

/** Scores: rows are small, and an iteration has many. */
export const ScorePageArgs = pageArgs(1000);
export type ScorePageArgs = InstanceType<typeof ScorePageArgs>;

function pageRequest(args: PageArgs): PageRequest {
  const { first, after, last, before } = args;
  const { largest } = args.constructor as typeof PageArgs;
  const isSize = (size: number | null | undefined) => size == null || (size >= 1 && size <= largest);
  requireAll([
    ["first", isSize(first), `must be from 1 to ${largest}`],
    ["last", isSize(last), `must be from 1 to ${largest}`],
    ["last", last == null || first == null, "cannot be had with `first`: a page is from one end"],
    ["after", after == null || last == null, "goes with `first`, and `before` with `last`"],
    ["before", before == null || last != null, "goes with `last`, and `after` with `first`"],
  ]);
  return last == null ? { first: first ?? usualPage, after: after ?? null } : { last, before: before ?? null };
}

export interface Connection<Node> {
  readonly edges: readonly { readonly cursor: string; readonly node: Node }[];
  readonly nodes: readonly Node[];
  readonly pageInfo: PageInfo;
  total(): Promise<number>;
}

function connect<Node>({ items, cursors, hasNextPage, hasPreviousPage, total }: Listing<Node>): Connection<Node> {
  const edges = items.map((node, i) => ({ cursor: cursors[i] as string, node }));
  const pageInfo = { hasNextPage, hasPreviousPage, startCursor: cursors.at(0) ?? null, endCursor: cursors.at(-1) ?? null };
  return { edges, nodes: items, pageInfo, total };
}

/**
 * A page of a list as a Relay connection.
 *
 * @throws EspalierError BAD_USER_INPUT if the page is too large, or asked for from both ends; BAD_CURSOR
 */
export async function connectionOf<Node>(args: PageArgs, list: (page: PageRequest) => Promise<Listing<Node>>): Promise<Connection<Node>> {
  const page = pageRequest(args);
  return connect(await blaming("last" in page ? "before" : "after", list(page)));
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

    readonly total!: () => Promise<number>;

    @Field(() => Int, {
      description: `How many there are in the whole list. Counting ends at ${mostCounted.toLocaleString("en-US")}; of scores, where the arrays that hold so many do.`,
    })
    totalCount(): Promise<number> {
      return this.total();
    }
  }
  return NodeConnection;
}
