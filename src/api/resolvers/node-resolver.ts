import { Arg, Ctx, ID, Query, Resolver } from "type-graphql";
import { requireAll } from "../../rules/validate.ts";
import type { NodeRecord } from "../../store/nodes.ts";
import { suffices } from "../../store/tokens.ts";
import type { CostArguments } from "../complexity.ts";
import type { Context } from "../context.ts";
import { Needs } from "../needs.ts";
import { type Named, Node } from "../types/node.ts";
import { runTypeNames } from "../types/run.ts";

const mostNodes = 100;

const nodesCost = ({ args, childComplexity }: CostArguments): number => 1 + (args["ids"] as readonly unknown[]).length * childComplexity;

const typeName = ({ type, record }: NodeRecord): string =>
  type === "RUN"
    ? runTypeNames[record.kind]
    : { MODEL: "Model", EXPORT: "ModelExport", DATASET: "Dataset", TOKEN: "AccessToken", WORKER: "Worker", AUDIT: "AuditEntry" }[type];

/** What only administrators see. */
const hidden: readonly NodeRecord["type"][] = ["TOKEN", "AUDIT"];

/** Those who may not see tokens do not see one by its identity either. */
async function nodeFor({ loaders, caller }: Context, id: string): Promise<Named | null> {
  const found = await loaders.nodes.load(id);
  if (!found || (hidden.includes(found.type) && !suffices(caller.role, "ADMIN"))) return null;
  return { ...found.record, __typename: typeName(found) };
}

@Resolver()
export class NodeResolver {
  @Needs("READ")
  @Query(() => Node, {
    nullable: true,
    description: "Whatever has this identity; null if nothing has. Tokens and entries of the audit trail are for administrators.",
  })
  node(@Arg("id", () => ID, { description: "Its identity." }) id: string, @Ctx() context: Context): Promise<Named | null> {
    return nodeFor(context, id);
  }

  @Needs("READ")
  @Query(() => [Node], {
    nullable: "items",
    description: "Whatever has these identities, in their order; null where nothing has.",
    complexity: nodesCost,
  })
  nodes(
    @Arg("ids", () => [ID], { description: `The identities, up to ${mostNodes}.` }) ids: string[],
    @Ctx() context: Context,
  ): Promise<(Named | null)[]> {
    requireAll([["ids", ids.length <= mostNodes, `must be at most ${mostNodes}`]]);
    return Promise.all(ids.map((id) => nodeFor(context, id)));
  }
}
