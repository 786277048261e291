import { open } from "node:fs/promises";
import { EspalierError } from "../../errors.ts";
import { isObject } from "../../is-object.ts";
import { isWhole } from "../../is-whole.ts";
import { type DataType, sizeOf } from "../../onnx/ir.ts";

/** A tensor in a `.safetensors` file: what it is, and where its bytes lie. */
export interface StoredTensor {
  readonly name: string;
  /** The file, relative to the model's folder. */
  readonly file: string;
  /** As the file spells it: `BF16`. */
  readonly stored: string;
  /** Null for a type that ONNX's tensors here have no word for. */
  readonly dataType: DataType | null;
  readonly dims: readonly number[];
  /** Of its first byte, from the file's beginning. */
  readonly offset: number;
  readonly length: number;
}

/** The element types of the format, with their bytes. */
const types: Readonly<Record<string, readonly [bytes: number, type: DataType | null]>> = {
  BOOL: [1, "bool"],
  U8: [1, "uint8"],
  I8: [1, "int8"],
  F8_E5M2: [1, null],
  F8_E4M3: [1, null],
  F8_E8M0: [1, null],
  I16: [2, "int16"],
  U16: [2, "uint16"],
  F16: [2, "float16"],
  BF16: [2, "bfloat16"],
  I32: [4, "int32"],
  U32: [4, "uint32"],
  F32: [4, "float32"],
  F64: [8, "float64"],
  I64: [8, "int64"],
  U64: [8, "uint64"],
};

/** The format's own limit. */
const largestHeader = 100_000_000;

/** What the largest models have is a hundredth of this. */
const mostTensors = 500_000;

/** No tensor has more axes; a header could state millions. */
const mostAxes = 16;

type Fail = (message: string, details?: Record<string, unknown>) => never;

const failIn =
  (file: string): Fail =>
  (message, details = {}) => {
    throw new EspalierError("INVALID_SAFETENSORS", `${file}: ${message}`, { file, ...details });
  };

/** What an untrusted name is called in a message. */
const quoted = (name: string): string => JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}...` : name);

/**
 * Reads what a `.safetensors` file says it holds, and nothing of what it holds: 8 bytes with the length of a header, the header
 * (JSON: name to type, shape and place), then the tensors, one after another without gaps.
 *
 * Source: the format's description, github.com/huggingface/safetensors.
 *
 * @param path of the file
 * @param file what it is called in messages, relative to the model's folder
 * @throws EspalierError INVALID_SAFETENSORS with the file, and the tensor where there is one
 */
export async function readHeader(path: string, file: string): Promise<StoredTensor[]> {
  const fail = failIn(file);
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    if (size < 8) fail(`has ${size} bytes; a safetensors file begins with the length of its header, in 8 bytes`);
    const head = Buffer.alloc(8);
    await handle.read(head, 0, 8, 0);
    const length = head.readBigUInt64LE();
    if (length > BigInt(size - 8))
      fail(`says that its header has ${length} bytes, but only ${size - 8} follow: the file is cut short, or is no safetensors file`);
    if (length > BigInt(largestHeader)) fail(`has a header of ${length} bytes; the format allows ${largestHeader}`);
    const bytes = Buffer.alloc(Number(length));
    await handle.read(bytes, 0, bytes.length, 8);
    return tensorsOf(bytes, size, file, fail);
  } finally {
    await handle.close();
  }
}

function tensorsOf(bytes: Buffer, size: number, file: string, fail: Fail): StoredTensor[] {
  const header = objectIn(bytes, fail);
  const begin = 8 + bytes.length;
  const tensors = Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, entry]) => tensorAt(name, entry, begin, size, file, fail));
  const inOrder = [...tensors].sort((a, b) => a.offset - b.offset || a.length - b.length);
  let end = begin;
  for (const { name, offset, length } of inOrder) {
    if (offset < end)
      fail(`tensor ${quoted(name)} begins at byte ${offset}, inside the tensor before it, which ends at ${end}`, { tensor: name });
    if (offset > end) fail(`${offset - end} bytes before tensor ${quoted(name)} belong to no tensor`, { tensor: name });
    end = offset + length;
  }
  if (end !== size) fail(`its tensors end at byte ${end}, but it has ${size} bytes`);
  return tensors;
}

function objectIn(bytes: Buffer, fail: Fail): Record<string, unknown> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (error) {
    return fail(`its header is not JSON: ${(error as Error).message.slice(0, 200)}`);
  }
  if (!isObject(header)) return fail("its header is not a JSON object");
  const count = Object.keys(header).length;
  if (count > mostTensors) fail(`its header lists ${count} tensors; at most ${mostTensors} make sense`);
  const notes = header["__metadata__"];
  if (notes !== undefined && !(isObject(notes) && Object.values(notes).every((note) => typeof note === "string")))
    fail("its __metadata__ is not an object of texts");
  // A second of a name would take the first one's place unseen.
  const twice = repeatedKey(text);
  if (twice !== null) fail(`its header states ${quoted(twice)} twice`, { tensor: twice });
  return header;
}

function tensorAt(name: string, entry: unknown, begin: number, size: number, file: string, fail: Fail): StoredTensor {
  const wrong = (what: string): never => fail(`tensor ${quoted(name)} ${what}`, { tensor: name });
  if (name.includes("\0")) wrong("has a name with the character NUL");
  if (!isObject(entry)) return wrong("is not described by an object");
  const { dtype, shape, data_offsets: place, ...others } = entry;
  const more = Object.keys(others)[0];
  if (more !== undefined) wrong(`has the field ${quoted(more)}; known are dtype, shape and data_offsets`);
  const [width, dataType] =
    (typeof dtype === "string" && Object.hasOwn(types, dtype) ? types[dtype] : undefined) ??
    wrong(`has the type ${quoted(JSON.stringify(dtype) ?? "none")}; known are ${Object.keys(types).join(", ")}`);
  if (!Array.isArray(shape) || shape.length > mostAxes || !shape.every((d) => isWhole(d))) return wrong("has no shape of whole numbers");
  if (!Array.isArray(place) || place.length !== 2 || !place.every((p) => isWhole(p)))
    return wrong("has no data_offsets of two whole numbers");
  const [from, to] = place as [number, number];
  const needed = sizeOf(shape) * width;
  if (!Number.isSafeInteger(needed) || to - from !== needed)
    wrong(`of type ${dtype} and shape [${shape.join(", ")}] needs ${needed} bytes, but lies from ${from} to ${to}`);
  if (begin + to > size) wrong(`ends at byte ${begin + to}, but the file has ${size} bytes`);
  return { name, file, stored: dtype as string, dataType, dims: shape, offset: begin + from, length: needed };
}

/** A key that an object of a JSON text states twice, at whatever depth; null if none does. The text is known to be JSON. */
function repeatedKey(text: string): string | null {
  const open: (Set<string> | null)[] = [];
  for (const [token, isKey] of tokensOf(text)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(null);
    else if (token === "}" || token === "]") open.pop();
    else if (isKey) {
      const name = JSON.parse(token) as string;
      const known = open.at(-1);
      if (known?.has(name)) return name;
      known?.add(name);
    }
  }
  return null;
}

/** Brackets and strings, and whether a string is a key. */
function* tokensOf(text: string): Generator<readonly [token: string, isKey: boolean]> {
  for (let at = 0; at < text.length; at++) {
    const character = text[at] as string;
    if ("{}[]".includes(character)) yield [character, false];
    if (character !== '"') continue;
    const from = at;
    for (at++; text[at] !== '"'; at++) if (text[at] === "\\") at++;
    let next = at + 1;
    while (" \t\r\n".includes(text[next] ?? "?")) next++;
    yield [text.slice(from, at + 1), text[next] === ":"];
  }
}
