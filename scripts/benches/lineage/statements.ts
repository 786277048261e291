import pg from "pg";

export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** The statements that this process sends to PostgreSQL meanwhile, each text once. */
export async function statementsOf(work: () => Promise<unknown>): Promise<Statement[]> {
  const { query } = pg.Client.prototype;
  const found = new Map<string, Statement>();
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const [first, values] = args as [string | Statement, unknown[] | undefined];
    const statement =
      typeof first === "string" ? { text: first, values: values ?? [] } : { text: first.text, values: values ?? first.values ?? [] };
    if (/^\s*(SELECT|WITH)/i.test(statement.text) && !/pgboss/.test(statement.text)) found.set(statement.text, statement);
    return (query as (...args: unknown[]) => unknown).apply(this, args);
  } as typeof query;
  try {
    await work();
  } finally {
    pg.Client.prototype.query = query;
  }
  return [...found.values()];
}

interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly Plans?: readonly PlanNode[];
}

/** How a statement reads each table, e.g. `Model by Model_pkey`, or `Model whole` where it reads all of it. */
export async function accessPaths(client: pg.ClientBase, { text, values }: Statement): Promise<string[]> {
  const { rows } = await client.query(`EXPLAIN (FORMAT JSON) ${text}`, [...values]);
  const paths = new Set<string>();
  const visit = (node: PlanNode): void => {
    const table = node["Relation Name"];
    if (node["Node Type"].includes("Seq Scan")) paths.add(`${table} whole`);
    else if (node["Index Name"]) paths.add(table ? `${table} by ${node["Index Name"]}` : `by ${node["Index Name"]}`);
    for (const inner of node.Plans ?? []) visit(inner);
  };
  visit(rows[0]["QUERY PLAN"][0].Plan);
  return [...paths];
}
