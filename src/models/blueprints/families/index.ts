import type { Family } from "../family.ts";
import { llamaFamilies } from "./llama.ts";

/** The families whose folders of weights are read. */
export const families: readonly Family[] = [...llamaFamilies];
