import { type Node, operatorKey } from "../onnx/ir.ts";
import { attentions } from "./attention.ts";
import { choices } from "./choices.ts";
import { elementwiseOperators } from "./elementwise.ts";
import { lookups } from "./lookups.ts";
import { normalisations } from "./normalisations.ts";
import type { Operator, Operators } from "./operator.ts";
import { products } from "./products.ts";
import { quantisedOperators } from "./quantised.ts";
import { reductions } from "./reductions.ts";
import { shapeOperators } from "./shape.ts";
import { withoutGradient } from "./without-gradient.ts";

/** The families, each a table of its own. */
export const families = {
  elementwise: elementwiseOperators,
  products,
  lookups,
  choices,
  shape: shapeOperators,
  reductions,
  normalisations,
  attention: attentions,
  quantised: quantisedOperators,
  "without gradient": withoutGradient,
} as const;

/** THE table: every operator that is known, by `operatorKey`. Operators it does not name are refused or left alone, never guessed. */
export const operators: Operators = new Map(Object.values(families).flatMap((family) => Object.entries(family)));

/** What is known of a node's operator. */
export const operatorOf = (node: Node): Operator | undefined => operators.get(operatorKey(node));

/** Whether weights meet the text in a product, or tokens each other. */
export const isProduct = (node: Node): boolean => operatorOf(node)?.weights === "product";
