import { type Attribute, dataTypes, type Model, type Tensor } from "../../src/onnx/ir.ts";
import { float32Of, float32Tensor } from "../../src/onnx/tensors.ts";

const bits = (x: number) => new Uint32Array(Float32Array.of(x).buffer)[0] as number;
const fromBits = (b: number) => new Float32Array(Uint32Array.of(b).buffer)[0] as number;
interface Narrow {
  readonly code: number;
  readonly round: (x: number) => number;
  readonly pack: (x: number) => number;
}
/** Both cut the significand off; float16 has no infinities here, as exporters write its lowest number, and no subnormals. */
const narrow: Readonly<Record<"float16" | "bfloat16", Narrow>> = {
  bfloat16: { code: dataTypes.bfloat16.onnx, round: (x) => fromBits(bits(x) & 0xffff0000), pack: (x) => bits(x) >>> 16 },
  float16: {
    code: dataTypes.float16.onnx,
    round: (x) => (Math.abs(x) < 2 ** -14 ? 0 : fromBits(bits(Math.max(-65504, Math.min(65504, x))) & 0xffffe000)),
    pack: (x) => (x === 0 ? 0 : ((bits(x) >>> 16) & 0x8000) | (((bits(x) >>> 13) & 0x3ffff) - (112 << 10))),
  },
};

/** The model with every float32 number changed, and stored in another type where one is given. */
export function rounded(model: Model, type: keyof typeof narrow, stored: boolean): Model {
  const { code, round, pack } = narrow[type];
  const tensor = (t: Tensor): Tensor => {
    if (t.dataType !== "float32") return t;
    const values = float32Of(t).map(round);
    if (!stored) return { ...float32Tensor(t.name, t.dims, values) };
    return { ...t, dataType: type, data: { kind: "inline", bytes: new Uint8Array(Uint16Array.from(values, pack).buffer) } };
  };
  const attribute = (name: string, a: Attribute): Attribute => {
    if (a.kind === "tensor") return { ...a, value: tensor(a.value) };
    return stored && name === "to" && a.kind === "int" && a.value === 1n ? { ...a, value: BigInt(code) } : a;
  };
  const typed = <V extends { dataType: string }>(v: V): V => (stored && v.dataType === "float32" ? { ...v, dataType: type } : v);
  const { graph } = model;
  return {
    ...model,
    graph: {
      ...graph,
      inputs: graph.inputs.map(typed),
      outputs: graph.outputs.map(typed),
      valueInfo: [],
      initializers: new Map([...graph.initializers].map(([name, t]) => [name, tensor(t)])),
      nodes: graph.nodes.map((n) => ({
        ...n,
        attributes: Object.fromEntries(Object.entries(n.attributes).map(([k, a]) => [k, attribute(k, a)])),
      })),
    },
  };
}
