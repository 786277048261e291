import { type DataType, type Node, operatorKey } from "../../src/onnx/ir.ts";

/** One registered kernel: the opsets it serves and, for each type parameter, the element types (`{ T: "float16 float32" }`). */
export interface Kernel {
  readonly since: number;
  /** Null: and every later opset. */
  readonly until: number | null;
  readonly types: Readonly<Record<string, string>>;
}

/** By position, a type parameter (`T`) or a type (`=int64`). The last of a variadic operator stands for all that follow. */
export interface Form {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** An operator has several forms where its versions differ; the table does not say which kernel has which. */
export interface Operator {
  readonly forms: readonly Form[];
  readonly kernels: readonly Kernel[];
}
export type KernelTable = Readonly<Record<string, Operator>>;

const renamed: Readonly<Record<string, DataType>> = { float: "float32", double: "float64" };
const elementType = (name: string): string => renamed[name] ?? name;

/** `tensor(float), tensor(int64)` as `float32 int64`; sequences and optionals are not ours. */
const tensorTypes = (text: string): string =>
  [...text.matchAll(/(?<![(\w])tensor\((\w+)\)/g)].map(([, name]) => elementType(name as string)).join(" ");

/** `13+`, `[7, 12]` or `13`. */
function opsets(text: string): Pick<Kernel, "since" | "until"> {
  const [since, until] = [...text.matchAll(/\d+/g)].map(Number);
  if (since === undefined) throw new Error(`no opset in "${text}"`);
  return { since, until: text.includes("+") ? null : (until ?? since) };
}

/** A cell like `*in* A:**T**<br> *in* B:**tensor(int64)**<br> *out* C:**T**`, forms separated by `or`. */
function forms(cell: string): Form[] {
  const pick = (form: string, direction: string): string[] =>
    [...form.matchAll(new RegExp(`\\*${direction}\\* \\w+:\\*\\*([^*]+)\\*\\*`, "g"))].map(([, type]) =>
      (type as string).replace(/^tensor\((\w+)\)$/, (_, name: string) => `=${elementType(name)}`),
    );
  return cell.split("<br>or<br>").map((form) => ({ inputs: pick(form, "in"), outputs: pick(form, "out") }));
}

/** Reads one provider's part of ONNX Runtime's published table (Markdown) for the given domains. */
export function parseKernelTable(markdown: string, provider: string, domains: readonly string[]): KernelTable {
  const part = markdown.split('<a name="').find((p) => p.startsWith(`${provider.toLowerCase()}"`));
  if (!part) throw new Error(`the table has no part for ${provider}`);
  const table: Record<string, { forms: Form[]; kernels: Kernel[] }> = {};
  let domain = "";
  let current = "";
  for (const line of part.split("\n")) {
    domain = /Operator Domain:\*\* \*([\w.]+)\*/.exec(line)?.[1] ?? domain;
    const [, name, parameters, versions, types] = line.split("|");
    if (!domains.includes(domain) || types === undefined || !/\d/.test(versions ?? "")) continue;
    if (name) {
      current = domain === "ai.onnx" ? name : `${domain}::${name}`;
      table[current] = { forms: forms(parameters as string), kernels: [] };
    }
    const constraints = [...types.matchAll(/\*\*(\w+)\*\* = ([^*]*)/g)].map(([, parameter, list]) => [
      parameter,
      tensorTypes(list as string),
    ]);
    table[current]?.kernels.push({ ...opsets(versions as string), types: Object.fromEntries(constraints) });
  }
  return table;
}

/**
 * Why the node has no kernel in the table, or null if it has one.
 *
 * @param inputs the element types of its inputs; null for an absent optional input
 */
export function missingKernel(
  table: KernelTable,
  node: Node,
  opset: number,
  inputs: readonly (DataType | null)[],
  outputs: readonly (DataType | null)[],
): string | null {
  const operator = table[operatorKey(node)];
  if (!operator) return `${operatorKey(node)} has no kernel`;
  const kernels = operator.kernels.filter((k) => k.since <= opset && (k.until === null || opset <= k.until));
  if (kernels.length === 0) return `${operatorKey(node)} has no kernel for opset ${opset}`;
  const accepts = (kernel: Kernel, parameters: readonly string[], types: readonly (DataType | null)[], unstated: boolean): boolean =>
    types.every((type, i) => {
      const parameter = parameters[Math.min(i, parameters.length - 1)];
      if (type === null || parameter === undefined || parameter.startsWith("=")) return type === null || parameter === `=${type}`;
      const listed = kernel.types[parameter];
      return listed === undefined ? unstated : listed.split(" ").includes(type);
    });
  // A result's type is not always stated; it then follows from the inputs'.
  const serves = (kernel: Kernel, form: Form): boolean =>
    accepts(kernel, form.inputs, inputs, false) && accepts(kernel, form.outputs, outputs, true);
  if (kernels.some((kernel) => operator.forms.some((form) => serves(kernel, form)))) return null;
  return `${operatorKey(node)} (opset ${opset}) has no kernel for (${inputs.join(", ")}) -> (${outputs.join(", ")})`;
}
