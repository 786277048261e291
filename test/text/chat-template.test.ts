import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { EspalierError } from "../../src/errors.ts";
import { loadChatTemplate } from "../../src/text/chat-template.ts";
import { strftime } from "../../src/text/jinja/strftime.ts";
import { withFolder } from "../support/folders.ts";

interface Row {
  readonly template: string;
  readonly text?: string;
  readonly error?: string;
}
type Messages = readonly { readonly role: string; readonly content: string }[];

/** What transformers renders: scripts/fixtures/chat_templates.py. */
const fixtures = JSON.parse(readFileSync(new URL("../fixtures/chat-templates.json", import.meta.url), "utf8")) as {
  readonly messages: Messages;
  readonly tokens: object;
  readonly templates: readonly Row[];
  readonly expressions: readonly Row[];
  readonly unsupported: readonly string[];
};

async function rendered(template: string, files: object = fixtures.tokens, messages = fixtures.messages): Promise<string> {
  let text = "";
  await withFolder({ "chat_template.jinja": template, "special_tokens_map.json": files }, async (folder) => {
    text = (await loadChatTemplate(folder))?.(messages) ?? "no template";
  });
  return text;
}
const refused = (template: string, says: RegExp) =>
  assert.rejects(rendered(template), (error: EspalierError) => {
    assert.equal(error.code, "INVALID_CHAT_TEMPLATE");
    assert.match(error.message, says);
    return true;
  });

describe("chat templates as transformers renders them", () => {
  for (const { template, text } of [...fixtures.templates, ...fixtures.expressions])
    it(JSON.stringify(template).slice(0, 120), async () => {
      if (text === undefined) await refused(template, /./);
      else assert.equal(await rendered(template), text);
    });
});

describe("chat templates", () => {
  for (const template of fixtures.unsupported)
    it(`are refused before anything is rendered where they need what is not supported: ${template}`, () =>
      withFolder({ "chat_template.jinja": template }, (folder) =>
        assert.rejects(loadChatTemplate(folder), { code: "INVALID_CHAT_TEMPLATE", message: /not supported \(line 1\)/ }),
      ));

  it("are refused with the line before anything is rendered, where they are broken", async () => {
    const rows: readonly (readonly [template: string, line: number, says: RegExp])[] = [
      ["{% for m in messages %}{{ m.content }}", 1, /expected endfor or else, found the end of the template/],
      ["a\n{% if x %}\n{% endfor %}", 3, /no statement "endfor"/],
      ["\n\n{{ 'a }}", 3, /character "'"/],
      ["{{ (1 }}", 1, /"}" closes nothing/],
      ["x\n{# c", 2, /comment has no end/],
      ["x\n{% raw %}", 2, /raw has no endraw/],
      ["{% break %}", 1, /outside of a loop/],
      ["{{ messages | map('nofilter') | list }}", 1, /nofilter/],
      ["{{ messages | selectattr('role', 'notest') | list }}", 1, /notest/],
      [`{{ ${"(".repeat(500)}1${")".repeat(500)} }}`, 1, /more than 150 brackets/],
    ];
    for (const [template, line, says] of rows)
      await withFolder({ "tokenizer_config.json": { chat_template: template } }, (folder) =>
        assert.rejects(loadChatTemplate(folder), (error: EspalierError) => {
          assert.deepEqual([error.code, error.details["line"]], ["INVALID_CHAT_TEMPLATE", line], error.message);
          assert.match(error.message, says);
          return true;
        }),
      );
  });

  it("stand in one of three files, and may be one of several by name", async () => {
    const several = [
      { name: "tool_use", template: "tools" },
      { name: "default", template: "plain" },
    ];
    const rows: readonly (readonly [files: Readonly<Record<string, unknown>>, text: string | null])[] = [
      [{}, null],
      [{ "chat_template.json": { chat_template: "c" } }, "c"],
      [{ "chat_template.json": { chat_template: "c" }, "tokenizer_config.json": { chat_template: "b" } }, "b"],
      [{ "chat_template.jinja": "a", "tokenizer_config.json": { chat_template: "b" } }, "a"],
      [{ "tokenizer_config.json": { chat_template: several } }, "plain"],
    ];
    for (const [files, text] of rows)
      await withFolder(files, async (folder) => assert.equal((await loadChatTemplate(folder))?.([]) ?? null, text));
  });

  it("know the special tokens of either file, and no others", async () => {
    const template = "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ unk_token }}{{ cls_token is defined }}";
    const map = { bos_token: "<s>", eos_token: { content: "</s>" }, pad_token: "<pad>", unk_token: { content: "<unk>" } };
    assert.equal(await rendered(template, map), "<s></s><pad><unk>False");
    await withFolder({ "tokenizer_config.json": { ...map, chat_template: template } }, async (folder) =>
      assert.equal((await loadChatTemplate(folder))?.([]), "<s></s><pad><unk>False"),
    );
  });

  it("give a conversation back its own error, with the line", () =>
    refused(
      "{% for m in messages %}\n{% if m.role == 'user' %}{{ raise_exception('No users') }}{% endif %}{% endfor %}",
      /refuses: No users \(line 2\)/,
    ));

  it("take bounded time and memory, whatever they say", async () => {
    const begun = process.cpuUsage();
    for (const [template, says] of [
      ["{% for i in range(1000000000) %}{% endfor %}", /Range too big/],
      ["{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", /steps/],
      ["{% for i in range(99999) %}{% for j in range(99999) if false %}{% endfor %}{% endfor %}", /steps/],
      ["{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}", /too long/],
      ["{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", /too long/],
      ["{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}", /steps/],
      ["{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}", /steps/],
      ["{% set ns = namespace(x=[1]) %}{% for i in range(500) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}", /nested/],
      ["{{ 'a' * 1000000000 }}", /too long/],
      ["{{ 'a'.center(1000000000) }}", /too large/],
      ["{{ '%1000000000d' % 1 }}", /too large/],
      ["{{ 'aaaa'.replace('', 'b' * 1500000) }}", /too long/],
      ["{{ 9 ** 99999 }}", /too large/],
      ["{% set x = 'ab' * 900000 %}{% for i in range(99999) %}{% if x | length == 1 %}{% endif %}{% endfor %}", /steps/],
      ["{% for i in range(99999) %}{% if 5 in range(99999) %}{% endif %}{% endfor %}", /steps/],
      ["{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", /within each other/],
      ["{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}", /writes more than/],
    ] as const)
      await refused(template, says);
    const { user, system } = process.cpuUsage(begun);
    assert.ok(user + system < 60e6, `${(user + system) / 1000} ms`);
  });

  it("write the time of day", () => {
    const time = new Date(2026, 2, 5, 15, 4, 9);
    assert.equal(
      strftime("%d %B %Y|%-d %b %y|%H:%M:%S|%I %p|%A %a|%j|%m%%|%e", time),
      "05 March 2026|5 Mar 26|15:04:09|03 PM|Thursday Thu|064|03%| 5",
    );
  });
});
