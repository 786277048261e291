import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DataType, Dim, Model, Tensor, ValueInfo } from "../../src/onnx/ir.ts";
import { floatsOf, integersOf } from "../../src/onnx/tensors.ts";
import type { TensorValue } from "../../src/runtime/session.ts";
import { bindingOf } from "../../src/signature/binding.ts";
import { batchAxisOf, cacheEntries, cacheLayers, emptyCache, nextCache, zeroCache } from "../../src/signature/caches.ts";
import { type Feeds, feedsOf, staticShapes } from "../../src/signature/feeds.ts";
import { float32Logits, logitsByToken, logitsOf } from "../../src/signature/logits.ts";
import { requireDynamic, type Signature, signatureOf, trialSignatureOf } from "../../src/signature/signature.ts";

const value = (name: string, dataType: DataType, shape: readonly Dim[] | null): ValueInfo => ({ name, dataType, shape });
const tokens = (type: DataType = "int64") => value("input_ids", type, ["B", "T"]);
const mask = (type: DataType = "int64") => value("attention_mask", type, ["B", "P+T"]);
const positions = (type: DataType = "int64") => value("position_ids", type, ["B", "T"]);
const cache = (name: string, type: DataType = "float32", shape: readonly Dim[] = ["B", 2, "P", 8]) => value(name, type, shape);
const pair = [cache("past_key_values.0.key"), cache("past_key_values.0.value")];
const segments = value("token_type_ids", "int64", ["B", "T"]);

const refused = (what: () => unknown, code: string, says: RegExp) =>
  assert.throws(what, (error: Error & { code?: string }) => {
    assert.equal(error.code, code, error.message);
    assert.match(error.message, says);
    return true;
  });

/** Each role by the names of its inputs. */
const rolesOf = (s: Signature) => [s.tokens.name, s.mask?.name, s.positions?.name, s.tokenTypes.map((i) => i.name), s.caches.length];

describe("the roles of a model's inputs", () => {
  const rows: readonly [string, readonly ValueInfo[], unknown[]][] = [
    ["tokens alone", [tokens()], ["input_ids", undefined, undefined, [], 0]],
    ["all, in any order", [...pair, positions(), mask(), tokens()], ["input_ids", "attention_mask", "position_ids", [], 2]],
    ["a mask of bool, ids of int32", [tokens("int32"), mask("bool")], ["input_ids", "attention_mask", undefined, [], 0]],
    ["a mask of unknown rank", [tokens(), value("attention_mask", "int64", null)], ["input_ids", "attention_mask", undefined, [], 0]],
    ["fixed sizes", [value("input_ids", "int64", [2, 5])], ["input_ids", undefined, undefined, [], 0]],
    ["a cache in float16, by a name of its own", [tokens(), cache("memory", "float16")], ["input_ids", undefined, undefined, [], 1]],
    ["a cache of three axes", [tokens(), cache("memory", "float32", ["B", "P", 16])], ["input_ids", undefined, undefined, [], 1]],
  ];
  for (const [what, inputs, roles] of rows)
    it(`are told: ${what}`, () => {
      assert.deepEqual(rolesOf(signatureOf(inputs)), roles);
      assert.deepEqual(rolesOf(trialSignatureOf(inputs)), roles);
    });

  const refusals: readonly [string, readonly ValueInfo[], string, RegExp][] = [
    ["none", [], "NO_TOKEN_INPUT", /its inputs are: none/],
    ["no ids", [mask(), value("pixels", "float32", ["B", 3])], "NO_TOKEN_INPUT", /"input_ids".*its inputs are: attention_mask, pixels/],
    ["ids of one axis", [value("input_ids", "int64", ["T"])], "NO_TOKEN_INPUT", /of shape \[batch, sequence\]/],
    ["ids of unknown rank", [value("input_ids", "int64", null)], "NO_TOKEN_INPUT", /of shape \[batch, sequence\]/],
    ["ids of floats", [tokens("float32")], "UNSUPPORTED_INPUT", /"input_ids" has type float32, not int64, int32 or bool/],
    ["a mask of uint8", [tokens(), mask("uint8")], "UNSUPPORTED_INPUT", /"attention_mask" has type uint8/],
    [
      "a mask of floats, as large as a cache",
      [tokens(), value("attention_mask", "float32", ["B", 1, "T", "S"])],
      "UNSUPPORTED_INPUT",
      /"attention_mask" has type float32/,
    ],
    [
      "a mask of four axes",
      [tokens(), value("attention_mask", "int64", ["B", 1, "", "S"])],
      "UNSUPPORTED_INPUT",
      /"attention_mask" has the shape \[B, 1, \?, S\]/,
    ],
    [
      "positions on three axes",
      [tokens(), value("position_ids", "int64", [3, "B", "T"])],
      "UNSUPPORTED_INPUT",
      /"position_ids" has the shape \[3, B, T\], and must have two axes/,
    ],
    ["a flag", [tokens(), value("use_cache", "bool", [1])], "UNSUPPORTED_INPUT", /role is not known: use_cache$/],
    ["a matrix of floats", [tokens(), value("bias", "float32", ["B", "T"])], "UNSUPPORTED_INPUT", /role is not known: bias$/],
  ];
  for (const [what, inputs, code, says] of refusals)
    it(`are refused: ${what}`, () => {
      refused(() => signatureOf(inputs), code, says);
      refused(() => trialSignatureOf(inputs), code, says);
    });

  it("are token types by name, and for a trial by their form", () => {
    const inputs = [tokens(), segments, value("langs", "int32", ["B", "T"])];
    refused(() => signatureOf(inputs), "UNSUPPORTED_INPUT", /role is not known: langs$/);
    assert.deepEqual(rolesOf(trialSignatureOf(inputs)), ["input_ids", undefined, undefined, ["token_type_ids", "langs"], 0]);
  });

  const sized: readonly [string, readonly ValueInfo[], RegExp | null][] = [
    ["none", [tokens(), mask(), positions(), ...pair], null],
    ["sizes without names", [value("input_ids", "int64", ["", ""])], null],
    ["the batch of ids", [value("input_ids", "int64", [1, "T"])], /"input_ids" has the fixed shape \[1, T\]/],
    ["the length of a mask", [tokens(), value("attention_mask", "int64", ["", 64])], /"attention_mask" has the fixed shape \[\?, 64\]/],
    ["the batch of positions", [tokens(), value("position_ids", "int64", [1, "T"])], /"position_ids" has the fixed shape \[1, T\]/],
    ["the past of a cache", [tokens(), cache("past", "float32", ["B", 2, 16, 8])], /"past" has the fixed shape \[B, 2, 16, 8\]/],
  ];
  for (const [what, inputs, says] of sized)
    it(`are fixed in size, or not: ${what}`, () => {
      const signature = signatureOf(inputs);
      if (says) refused(() => requireDynamic(signature), "UNSUPPORTED_INPUT", says);
      else requireDynamic(signature);
    });
});

/** Feeds as types, dims and numbers. */
const plain = (feeds: Feeds) =>
  Object.fromEntries(Object.entries(feeds).map(([name, { dataType, dims, data }]) => [name, [dataType, dims, Array.from(data, Number)]]));

describe("what a model is fed", () => {
  const texts = [
    [7, 8, 9],
    [4, 5, 6],
  ];
  const arrays: Partial<Record<DataType, unknown>> = { int64: BigInt64Array, int32: Int32Array, bool: Uint8Array };
  for (const type of ["int64", "int32"] as const)
    for (const masked of ["int64", "int32", "bool"] as const)
      it(`is in the types of its inputs: ids in ${type}, a mask in ${masked}`, () => {
        const feeds = feedsOf(signatureOf([tokens(type), mask(masked), positions(type), ...pair]), texts, 0);
        assert.deepEqual(plain(feeds), {
          input_ids: [type, [2, 3], [7, 8, 9, 4, 5, 6]],
          attention_mask: [masked, [2, 3], [1, 1, 1, 1, 1, 1]],
          position_ids: [type, [2, 3], [0, 1, 2, 0, 1, 2]],
        });
        assert.equal(feeds["input_ids"]?.data.constructor, arrays[type]);
        assert.equal(feeds["attention_mask"]?.data.constructor, arrays[masked]);
      });

  it("follows what was read before: the mask covers it, positions go on from it", () => {
    assert.deepEqual(plain(feedsOf(signatureOf([tokens(), mask(), positions()]), [[7], [8]], 3)), {
      input_ids: ["int64", [2, 1], [7, 8]],
      attention_mask: ["int64", [2, 4], [1, 1, 1, 1, 1, 1, 1, 1]],
      position_ids: ["int64", [2, 1], [3, 3]],
    });
  });

  it("is padded at the end of shorter texts, and of its inputs alone", () => {
    assert.deepEqual(plain(feedsOf(signatureOf([tokens()]), [[7], [4, 5, 6], []], 0)), {
      input_ids: ["int64", [3, 3], [7, 0, 0, 4, 5, 6, 0, 0, 0]],
    });
  });

  it("is zeros for token types", () => {
    assert.deepEqual(plain(feedsOf(trialSignatureOf([tokens(), segments]), [[7, 8]], 0)), {
      input_ids: ["int64", [1, 2], [7, 8]],
      token_type_ids: ["int64", [1, 2], [0, 0]],
    });
  });

  it("has static shapes, in which what a model fixes stays", () => {
    const inputs = [value("input_ids", "int64", [2, "T"]), mask(), positions(), ...pair];
    assert.deepEqual(staticShapes(signatureOf(inputs), 5, 7, 11), {
      input_ids: [2, 5],
      attention_mask: [5, 18],
      position_ids: [5, 7],
      "past_key_values.0.key": [5, 2, 11, 8],
      "past_key_values.0.value": [5, 2, 11, 8],
    });
    assert.deepEqual(staticShapes(signatureOf([tokens(), mask()]), 5, 7, 11), { input_ids: [5, 7], attention_mask: [5, 7] });
  });

  it("is fixed for texts from their beginning, but for token ids", () => {
    const inputs = [
      tokens("int32"),
      mask("bool"),
      positions(),
      cache("past_key_values.0.key"),
      cache("past_key_values.0.value", "float16"),
    ];
    const model = { graph: { inputs } } as unknown as Model;
    const { shapes, constants, parameters } = bindingOf(model, 2, 3, ["w"]);
    assert.deepEqual([shapes, parameters], [{ input_ids: [2, 3] }, ["w"]]);
    const elements = (t: Tensor) => (t.dataType.startsWith("float") ? Array.from(floatsOf(t, new Uint8Array())) : integersOf(t));
    assert.deepEqual(
      constants.map((t) => [t.name, t.dataType, t.dims, elements(t)]),
      [
        ["past_key_values.0.key", "float32", [2, 2, 0, 8], []],
        ["past_key_values.0.value", "float16", [2, 2, 0, 8], []],
        ["attention_mask", "bool", [2, 3], [1, 1, 1, 1, 1, 1]],
        ["position_ids", "int64", [2, 3], [0, 1, 2, 0, 1, 2]],
      ],
    );
  });
});

describe("a model's cache", () => {
  for (const [type, array] of [
    ["float32", Float32Array],
    ["float16", Uint16Array],
  ] as const)
    it(`begins empty, and is zeros after as many tokens as are said: ${type}`, () => {
      const entry = cache("past", type);
      assert.deepEqual(emptyCache([entry], 3), { past: { dataType: type, dims: [3, 2, 0, 8], data: new array() } });
      assert.deepEqual(zeroCache([entry], 1, 5), { past: { dataType: type, dims: [1, 2, 5, 8], data: new array(80) } });
    });

  for (const type of ["float64", "bfloat16"] as const)
    it(`is refused in ${type}`, () => {
      refused(() => emptyCache([cache("past", type)], 1), "UNSUPPORTED_CACHE", new RegExp(`"past" cannot be used: its type is ${type}`));
    });

  it("is refused without a place for earlier tokens", () => {
    const fixed = cache("past", "float32", ["B", 2, 16, 8]);
    const says = /"past" cannot be used: its shape \[B,2,16,8\] has no dimension for earlier tokens/;
    refused(() => emptyCache([fixed], 1), "UNSUPPORTED_CACHE", says);
    refused(() => cacheEntries([tokens(), fixed], [logits, value("present", "float32", null)]), "UNSUPPORTED_CACHE", says);
  });

  const logits = value("logits", "float32", ["B", "T", 9]);
  const outputs = (...names: string[]) => [logits, ...names.map((name) => value(name, "float32", null))];
  const entries: readonly [string, readonly ValueInfo[], readonly ValueInfo[], string[] | RegExp][] = [
    ["by names", pair, outputs("present.0.value", "present.0.key"), ["present.0.key", "present.0.value"]],
    ["by names of genai", [cache("past.0")], outputs("hidden", "present.0"), ["present.0"]],
    ["by order, where names say nothing", pair, outputs("a", "b"), ["a", "b"]],
    ["not at all", [], outputs("hidden"), []],
    ["not one of two", pair, outputs("present.0.key", "other"), /"past_key_values.0.value" does not come back.*"present.0.value"/],
    ["not by order, of another number", pair, outputs("a", "b", "c"), /"past_key_values.0.key" does not come back/],
  ];
  for (const [how, caches, given, expected] of entries)
    it(`comes back: ${how}`, () => {
      const read = () => cacheEntries([tokens(), ...caches], given);
      if (expected instanceof RegExp) return refused(read, "UNSUPPORTED_CACHE", expected);
      const found = read();
      assert.deepEqual(
        found.map((e) => [e.input, e.output]),
        expected.map((name, i) => [caches[i], name]),
      );
      const results = Object.fromEntries(given.map(({ name }) => [name, { dataType: "float32", dims: [], data: Float32Array.of(1) }]));
      assert.deepEqual(
        nextCache(found, results as Feeds),
        Object.fromEntries(caches.map((c, i) => [c.name, results[expected[i] as string]])),
      );
    });

  it("says how many heads each layer has, how wide they are, and which axis is the batch", () => {
    const narrow = [cache("k.1", "float32", ["B", 1, "P", 8]), cache("v.1", "float32", ["B", 1, "P", 8])];
    assert.deepEqual(cacheLayers([...pair, ...narrow]), [
      { heads: 2, headWidth: 8 },
      { heads: 1, headWidth: 8 },
    ]);
    assert.equal(batchAxisOf(cache("past", "float32", [2, 4, "B", "P", 8])), 2);
  });
});

describe("logits", () => {
  const of = (name: string, type: DataType, shape: readonly Dim[] | null) => value(name, type, shape);
  const found: readonly [string, readonly ValueInfo[], string][] = [
    ["by name", [of("present", "float32", null), of("logits", "float16", ["B", "T", 9])], "logits"],
    ["the first, without the name", [of("linear_7", "float32", null), of("other", "float32", null)], "linear_7"],
    ["as float64", [of("logits", "float64", ["B", "T", 9])], "logits"],
  ];
  for (const [how, outputs, name] of found) it(`are found: ${how}`, () => assert.equal(logitsOf(outputs).name, name));

  const absent: readonly [string, readonly ValueInfo[]][] = [
    ["no output", []],
    ["integers", [of("logits", "int64", ["B", "T", 9])]],
    ["two axes", [of("logits", "float32", ["B", 9])]],
    ["hidden states", [of("last_hidden_state", "float32", ["B", "T", 9])]],
  ];
  for (const [what, outputs] of absent)
    it(`are missed: ${what}`, () => refused(() => logitsOf(outputs), "NO_LOGITS", /no float output "logits".*export it with/));

  const given = (dataType: DataType, data: TensorValue["data"], dims: readonly number[] = [1, 2, 2]): TensorValue => ({
    dataType,
    dims,
    data,
  });
  const types: readonly [DataType, TensorValue["data"]][] = [
    ["float32", Float32Array.of(1, -2, 0.5, 0)],
    ["float64", Float64Array.of(1, -2, 0.5, 0)],
    ["float16", Uint16Array.of(0x3c00, 0xc000, 0x3800, 0)],
    ["bfloat16", Uint16Array.of(0x3f80, 0xc000, 0x3f00, 0)],
  ];
  for (const [type, data] of types)
    it(`are read as float32, token by token: ${type}`, () => {
      assert.deepEqual(float32Logits(given(type, data)), Float32Array.of(1, -2, 0.5, 0));
      assert.deepEqual(
        logitsByToken(given(type, data), 1, 2).map((row) => [...row]),
        [
          [1, -2],
          [0.5, 0],
        ],
      );
    });

  it("are refused as integers", () => refused(() => float32Logits(given("int32", Int32Array.of(1))), "TENSOR_TYPE", /not of floats/));

  const others: readonly [string, TensorValue][] = [
    ["the last token's alone", given("float32", new Float32Array(2), [1, 1, 2])],
    ["of another number of texts", given("float32", new Float32Array(8), [2, 2, 2])],
    ["of two axes", given("float32", new Float32Array(4), [2, 2])],
    ["integers", given("int32", new Int32Array(4))],
  ];
  for (const [what, logits] of others)
    it(`are refused where they are not of each token: ${what}`, () =>
      refused(() => logitsByToken(logits, 1, 2), "NO_LOGITS", /of 1 texts of 2 tokens the model gives logits of shape/));
});
