import assert from "node:assert/strict";
import { test } from "node:test";
import { PrefixCache } from "../../src/inference/prefix-cache.ts";

/** A block of so many bytes, in two arrays. */
const block = (bytes: number) => [new Float32Array(bytes / 8), new Float32Array(bytes / 8)];

const kept = (cache: PrefixCache, keys: string): string => [...keys].filter((key) => cache.has(key)).join("");

test("what was unused longest goes first: not what came first", () => {
  const cache = new PrefixCache(4, 48);
  for (const key of "abc") cache.keep(key, block(16));
  assert.ok(cache.find("a"));
  cache.keep("d", block(16));
  assert.equal(kept(cache, "abcd"), "acd");
  cache.keep("e", block(16));
  assert.equal(kept(cache, "abcde"), "ade");
});

test("asking whether a block is there is no use of it", () => {
  const cache = new PrefixCache(4, 32);
  for (const key of "ab") cache.keep(key, block(16));
  cache.has("a");
  cache.keep("c", block(16));
  assert.equal(kept(cache, "abc"), "bc");
});

test("a found block is the one that was kept, and one that is not there is null", () => {
  const cache = new PrefixCache(4, 32);
  const [a, b] = [block(16), block(16)];
  cache.keep("a", a);
  cache.keep("b", b);
  assert.equal(cache.find("b"), b);
  assert.equal(cache.find("a"), a);
  assert.equal(cache.find("c"), null);
  assert.equal(cache.find("a"), a, "finding does not take it out");
});

test("blocks may fill the room to the last byte; a larger one takes the place of as many as it needs, and no more", () => {
  const cache = new PrefixCache(4, 64);
  for (const key of "abcd") cache.keep(key, block(16));
  assert.equal(kept(cache, "abcd"), "abcd");
  cache.keep("e", block(32));
  assert.equal(kept(cache, "abcde"), "cde");
  cache.keep("f", block(64));
  assert.equal(kept(cache, "cdef"), "f");
});

test("a block larger than all the room is not kept, and costs no other its place", () => {
  const cache = new PrefixCache(4, 32);
  for (const key of "ab") cache.keep(key, block(16));
  cache.keep("c", block(40));
  assert.equal(kept(cache, "abc"), "ab");
});

test("a block kept twice takes its room once", () => {
  const cache = new PrefixCache(4, 32);
  for (const key of "aaab") cache.keep(key, block(16));
  assert.equal(kept(cache, "ab"), "ab");
});

test("blocks are whole, and named by all tokens up to their ends", () => {
  const cache = new PrefixCache(2, 0);
  assert.deepEqual(cache.keysOf([]), []);
  assert.deepEqual(cache.keysOf([1]), []);
  const [first, second] = cache.keysOf([1, 2, 3, 4, 5]);
  assert.deepEqual(cache.keysOf([1, 2]), [first]);
  assert.deepEqual(cache.keysOf([1, 2, 3]), [first]);
  assert.deepEqual(cache.keysOf([1, 2, 3, 4]), [first, second]);
  assert.notEqual(first, second);
  for (const others of [
    [9, 2, 3, 4],
    [1, 9, 3, 4],
    [1, 2, 9, 4],
    [1, 2, 3, 9],
    [3, 4, 3, 4],
    [2, 1, 3, 4],
  ])
    assert.notEqual(cache.keysOf(others)[1], second, `${others}`);
  // What comes after does not matter, and what makes the beginning does: the same two tokens at another place are another block.
  assert.notEqual(cache.keysOf([1, 2, 1, 2])[1], first);
});
