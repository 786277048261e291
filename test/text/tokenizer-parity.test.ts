import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { StreamDecoder } from "../../src/text/stream-decoder.ts";
import { Component } from "../../src/text/tokenizer/component.ts";
import { decoder } from "../../src/text/tokenizer/decoders.ts";
import { readDefinition } from "../../src/text/tokenizer/definition.ts";
import { framing, startOf } from "../../src/text/tokenizer/framing.ts";
import { normalizer } from "../../src/text/tokenizer/normalizers.ts";
import { preTokenizer } from "../../src/text/tokenizer/pre-tokenizers.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";

type Json = Readonly<Record<string, unknown>>;
interface Row<Found> {
  readonly component: Json;
  readonly found: readonly Found[];
}

/** What Hugging Face's tokenizers say: scripts/fixtures/tokenizer_parity.py. */
const fixtures = JSON.parse(readFileSync(new URL("../fixtures/tokenizers.json", import.meta.url), "utf8")) as {
  readonly texts: readonly string[];
  readonly added: readonly string[];
  readonly tokens: readonly (readonly string[])[];
  readonly normalizers: readonly Row<string>[];
  readonly preTokenizers: readonly Row<readonly string[]>[];
  readonly decoders: readonly Row<string>[];
  readonly models: Readonly<Record<string, Json>>;
  readonly tokenizers: readonly {
    readonly name: string;
    readonly model: string;
    readonly texts: "texts" | "added";
    readonly parts: Json;
    readonly ids: readonly (readonly number[])[];
    readonly decoded: readonly string[];
  }[];
  readonly starts: readonly { readonly processor: Json; readonly start: readonly number[] }[];
};

const nameOf = (component: Json): string => JSON.stringify(component).slice(0, 140);

describe("tokenizers as Hugging Face's", () => {
  for (const { component, found } of fixtures.normalizers)
    it(`normalises: ${nameOf(component)}`, () => {
      const normalize = normalizer(new Component(component, "normalizer"));
      assert.deepEqual(fixtures.texts.map(normalize), found);
    });

  for (const { component, found } of fixtures.preTokenizers)
    it(`cuts: ${nameOf(component)}`, () => {
      const cut = preTokenizer(new Component(component, "pre_tokenizer"));
      assert.deepEqual(
        // An empty text never comes so far.
        fixtures.texts.map((text) => (text === "" ? [] : cut(text, true))),
        fixtures.texts.map((text, i) => (text === "" ? [] : found[i])),
      );
    });

  for (const { component, found } of fixtures.decoders)
    it(`decodes: ${nameOf(component)}`, () => {
      const decode = decoder(new Component(component, "decoder"));
      assert.deepEqual(
        fixtures.tokens.map((tokens) => decode(tokens).join("")),
        found,
      );
    });

  for (const { name, model, texts, parts, ids, decoded } of fixtures.tokenizers)
    it(`encodes and decodes: ${name}`, () => {
      const { encode, decode } = readDefinition({ ...parts, model: fixtures.models[model] });
      assert.deepEqual(fixtures[texts].map(encode), ids);
      // Once more: words are remembered.
      assert.deepEqual(fixtures[texts].map(encode), ids);
      assert.deepEqual(ids.map(decode), decoded);
      const streamed = ids.map((tokens) => {
        const stream = new StreamDecoder({ decode } as Tokenizer);
        return tokens.map((id) => stream.push(id)).join("") + stream.flush();
      });
      // Bytes that make no text may undo what came before them, and what was given out stays.
      const whole = (_: unknown, i: number) => !decoded[i]?.includes("\uFFFD");
      assert.deepEqual(streamed.filter(whole), decoded.filter(whole));
    });

  for (const { processor, start } of fixtures.starts)
    it(`begins: ${nameOf(processor)}`, () => assert.deepEqual(startOf(framing(new Component(processor, "post_processor"))), start));
});
