import { numberAt } from "../../number-at.ts";
import { type ElementType, elementTypes, type TypeName } from "./element-types.ts";
import { exactBlocks } from "./exact-blocks.ts";
import type { Plan } from "./tensor-plan.ts";
import { bytesOf, Sources } from "./write-plan.ts";

/** Types that a matrix may be kept in, the smallest first; and how files of them are called (`general.file_type`). */
const candidates: readonly (readonly [type: ElementType, fileType: number])[] = [
  [{ ...elementTypes.Q4_0, ...exactBlocks.Q4_0 }, 2],
  [{ ...elementTypes.Q4_1, ...exactBlocks.Q4_1 }, 3],
  [{ ...elementTypes.Q8_0, ...exactBlocks.Q8_0 }, 7],
  [elementTypes.F16, 1],
  [elementTypes.BF16, 32],
  [elementTypes.F32, 0],
];

/**
 * Plans each of whose matrices is kept in the smallest type that gives all its numbers back as they are: codes become codes.
 *
 * @param plans in float32
 * @param isWide whether a tensor has to stay in float32
 * @returns with them the file type that most numbers are of
 */
export function exactPlans(plans: readonly Plan[], isWide: (plan: Plan) => boolean): { readonly plans: Plan[]; readonly fileType: number } {
  const sources = new Sources();
  const counts = new Map<number, number>();
  try {
    const exact = plans.map((plan): Plan => {
      if (isWide(plan)) return plan;
      const [type, fileType] = holding(plan, sources);
      counts.set(fileType, (counts.get(fileType) ?? 0) + plan.dims.reduce((a, b) => a * b, 1));
      return { ...plan, type };
    });
    const [[fileType] = [0]] = [...counts].sort((a, b) => b[1] - a[1]);
    return { plans: exact, fileType };
  } finally {
    sources.close();
  }
}

function holding(plan: Plan, sources: Sources): readonly [ElementType, number] {
  let left = candidates.filter(([{ elements }]) => numberAt(plan.dims, plan.dims.length - 1) % elements === 0);
  for (const bytes of bytesOf({ ...plan, type: elementTypes.F32 }, sources)) {
    const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    left = left.filter(([type]) => type.name === ("F32" satisfies TypeName) || isKept(type, values));
    if (left.length === 1) break;
  }
  return left[0] as (typeof candidates)[number];
}

function isKept({ encode, decode, elements, bytes: size }: ElementType, values: Float32Array): boolean {
  // A piece at a time: most types that do not hold a matrix do not hold its beginning.
  const piece = 4096;
  for (let from = 0; from < values.length; from += piece) {
    const own = values.subarray(from, from + piece);
    const [bytes, back] = [new Uint8Array((own.length / elements) * size), new Float32Array(own.length)];
    encode?.(own, bytes);
    decode(bytes, back);
    for (let i = 0; i < own.length; i++) if (own[i] !== back[i]) return false;
  }
  return true;
}
