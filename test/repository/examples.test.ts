import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { type TestApi, testApi } from "../support/api.ts";
import { checkout } from "../support/checkout.ts";

/** The examples of docs/examples, run as they stand against a server of their own. */
let api: TestApi;
before(async () => {
  api = await testApi();
});
after(() => api.close());

const can = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0;

const examples = [
  { file: "prune.sh", command: ["sh"], missing: !can("curl", "--version") && "curl is not here" },
  { file: "prune.ts", command: [process.execPath, "--import", "tsx"], missing: false },
  {
    file: "prune.py",
    command: ["python3"],
    missing: !can("python3", "-c", "import gql, websockets, requests") && "Python's package gql is not here",
  },
] as const;

for (const { file, command, missing } of examples)
  test(`docs/examples/${file} prunes a model and lets its child write`, { skip: missing }, async () => {
    const [program, ...args] = command;
    const child = spawn(program, [...args, `docs/examples/${file}`, api.url], { cwd: checkout });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    const [code] = await once(child, "close");
    assert.equal(code, 0, output);
    assert.match(output, /removedRatio/);
    // Twenty tokens of the bundled model are some words.
    assert.match(output.trim().split("\n").at(-1) as string, /[a-z]+ [a-z]+/i, output);
  });
