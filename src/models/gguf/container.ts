import { closeSync, fstatSync, openSync } from "node:fs";
import { sizeOf } from "../../onnx/ir.ts";
import { Cursor } from "./cursor.ts";
import { bytesOfElements, type ElementType, nameOfType, typeById } from "./element-types.ts";

/** A value of a file's metadata. Whole numbers past 2^53 are refused. */
export type Value = string | number | boolean | readonly string[] | readonly number[] | readonly boolean[];

export type Metadata = ReadonlyMap<string, Value>;

/** A tensor of a GGUF file: what it is, and where its bytes lie. */
export interface GgufTensor {
  readonly name: string;
  /** Of the file that holds it. */
  readonly path: string;
  readonly type: ElementType;
  /** The last axis lies together in memory, as in other formats: the file lists them the other way round. */
  readonly dims: readonly number[];
  /** Of its first byte, from the file's beginning. */
  readonly offset: number;
  readonly length: number;
}

export interface Container {
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** What a file may say before its tensors begin: a vocabulary of 262,144 with its merges has 12 MB. */
const largestHead = 128 << 20;
const [mostKeys, mostTensors, mostAxes, longestName, longestText, mostElements] = [4096, 100_000, 4, 256, 16 << 20, 1 << 22] as const;

const magic = 0x46554747;
const defaultAlignment = 32;

/** The types of metadata, by their numbers. */
const readers: Readonly<Record<number, (cursor: Cursor, key: string) => number | boolean | string>> = {
  0: (c) => c.integer(1, false),
  1: (c) => c.integer(1, true),
  2: (c) => c.integer(2, false),
  3: (c) => c.integer(2, true),
  4: (c) => c.integer(4, false),
  5: (c) => c.integer(4, true),
  6: (c) => c.float(4),
  7: (c, key) => {
    const byte = c.integer(1, false);
    return byte === 0 || byte === 1
      ? byte === 1
      : c.fail(`metadata "${key}" holds ${byte} where true (1) or false (0) was expected`, { key });
  },
  8: (c, key) => c.text(longestText, `metadata "${key}"`),
  10: (c) => c.integer(8, false),
  11: (c) => c.integer(8, true),
  12: (c) => c.float(8),
};
const arrayType = 9;

/**
 * Reads what a GGUF file says it holds, of version 2 or 3 and little-endian, and nothing of its tensors: metadata, then what each tensor is
 * and where. Every length is held to a limit before anything is made of it.
 *
 * Source: ggml's description of the format, github.com/ggml-org/ggml, docs/gguf.md.
 *
 * @param path of the file
 * @param file what it is called in messages
 * @throws EspalierError INVALID_GGUF with the file, and the key or tensor where there is one; UNSUPPORTED_GGUF for other versions, byte orders
 *   and element types
 */
export function readContainer(path: string, file: string): Container {
  const handle = openSync(path, "r");
  try {
    const cursor = new Cursor(handle, file, Math.min(fstatSync(handle).size, largestHead));
    const { keys, count } = counts(cursor);
    const metadata = readMetadata(cursor, keys);
    const infos = Array.from({ length: count }, () => readInfo(cursor));
    const stated = metadata.get("general.alignment") ?? defaultAlignment;
    const isAlignment = typeof stated === "number" && stated >= 8 && stated <= 1 << 20 && (stated & (stated - 1)) === 0;
    const alignment = isAlignment
      ? stated
      : cursor.fail(`metadata "general.alignment" is ${JSON.stringify(stated)}; a power of two from 8 to ${1 << 20} was expected`, {
          key: "general.alignment",
        });
    const begin = Math.ceil(cursor.position / alignment) * alignment;
    return { metadata, tensors: placed(cursor, infos, begin, alignment, { path, size: fstatSync(handle).size }) };
  } finally {
    closeSync(handle);
  }
}

function counts(cursor: Cursor): { readonly keys: number; readonly count: number } {
  if (cursor.integer(4, false) !== magic) cursor.fail('does not begin with "GGUF"');
  const version = cursor.integer(4, false);
  if (version === 0x03000000 || version === 0x02000000) cursor.refuse("is big-endian; little-endian files are read");
  if (version !== 2 && version !== 3) cursor.refuse(`is of version ${version}; versions 2 and 3 are read`, { version });
  const count = cursor.integer(8, false);
  const keys = cursor.integer(8, false);
  if (count > mostTensors) cursor.fail(`says that it holds ${count} tensors; at most ${mostTensors} make sense`);
  if (keys > mostKeys) cursor.fail(`says that it holds ${keys} keys of metadata; at most ${mostKeys} make sense`);
  return { keys, count };
}

function readMetadata(cursor: Cursor, keys: number): Map<string, Value> {
  const metadata = new Map<string, Value>();
  for (let i = 0; i < keys; i++) {
    const key = cursor.text(longestName, "a key of metadata");
    if (metadata.has(key)) cursor.fail(`states metadata "${key}" twice`, { key });
    const type = cursor.integer(4, false);
    metadata.set(key, type === arrayType ? readArray(cursor, key) : readerOf(cursor, key, type)(cursor, key));
  }
  return metadata;
}

function readerOf(cursor: Cursor, key: string, type: number) {
  return (
    readers[type] ?? cursor.fail(`metadata "${key}" is of type ${type}; the format knows 0 to 12, and no lists of lists are read`, { key })
  );
}

function readArray(cursor: Cursor, key: string): Value {
  const type = cursor.integer(4, false);
  const read = readerOf(cursor, key, type);
  const length = cursor.integer(8, false);
  if (length > mostElements)
    cursor.fail(`metadata "${key}" says that it lists ${length} values; at most ${mostElements} make sense`, { key });
  // Each value has a byte at least: a list longer than what follows would be made for nothing.
  if (length > cursor.left)
    cursor.fail(`metadata "${key}" says that it lists ${length} values, but only ${cursor.left} bytes follow`, { key });
  const values: (number | boolean | string)[] = [];
  for (let i = 0; i < length; i++) values.push(read(cursor, key));
  return values as string[];
}

interface Info {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** From where tensors begin. */
  readonly from: number;
}

function readInfo(cursor: Cursor): Info {
  const name = cursor.text(longestName, "the name of a tensor");
  const wrong = (what: string): never => cursor.fail(`tensor "${name}" ${what}`, { tensor: name });
  const axes = cursor.integer(4, false);
  if (axes > mostAxes) wrong(`has ${axes} axes; the format allows ${mostAxes}`);
  const dims = Array.from({ length: axes }, () => cursor.integer(8, false)).reverse();
  const id = cursor.integer(4, false);
  const type =
    typeById(id) ??
    cursor.refuse(`tensor "${name}" is of type ${nameOfType(id)}, which is not read`, { tensor: name, type: nameOfType(id) });
  const count = sizeOf(dims);
  if (!Number.isSafeInteger(count) || count === 0) wrong(`of shape [${dims.join(", ")}] has no whole number of elements`);
  if ((dims.at(-1) ?? 1) % type.elements !== 0)
    wrong(`of type ${type.name} has rows of ${dims.at(-1)} elements; multiples of ${type.elements} were expected`);
  return { name, type, dims, from: cursor.integer(8, false) };
}

function placed(
  cursor: Cursor,
  infos: readonly Info[],
  begin: number,
  alignment: number,
  { path, size }: { readonly path: string; readonly size: number },
): Map<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (const { name, type, dims, from } of infos) {
    const wrong = (what: string): never => cursor.fail(`tensor "${name}" ${what}`, { tensor: name });
    if (tensors.has(name)) wrong("is listed twice");
    if (from % alignment !== 0) wrong(`begins at byte ${from} of the tensors; a multiple of ${alignment} was expected`);
    const [offset, length] = [begin + from, bytesOfElements(type, sizeOf(dims))];
    if (offset + length > size)
      wrong(`of type ${type.name} and shape [${dims.join(", ")}] ends at byte ${offset + length}, but the file has ${size} bytes`);
    tensors.set(name, { name, path, type, dims, offset, length });
  }
  let before: GgufTensor | null = null;
  for (const tensor of [...tensors.values()].sort((a, b) => a.offset - b.offset)) {
    const end = before ? before.offset + before.length : 0;
    if (tensor.offset < end)
      cursor.fail(`tensor "${tensor.name}" begins at byte ${tensor.offset}, inside "${before?.name}", which ends at ${end}`, {
        tensor: tensor.name,
      });
    before = tensor;
  }
  return tensors;
}
