import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** The Python whose packages tests use. */
export const python = process.env["ESPALIER_PYTHON"] ?? "python3";

/** Why tests that need packages of Python are skipped, or false. */
export const withoutPackages = (...packages: string[]): string | false => {
  const code = `import importlib.util as u, sys; sys.exit(not all(u.find_spec(p) for p in ${JSON.stringify(packages)}))`;
  return spawnSync(python, ["-c", code]).status === 0
    ? false
    : `Python's ${packages.join(", ")} are not here (ESPALIER_PYTHON names another Python)`;
};

/** Runs a script of test/support on a JSON value, and reads the JSON that it prints last. */
// biome-ignore lint/suspicious/noExplicitAny: tests read answers as they come
export async function runPython(script: string, input: unknown): Promise<any> {
  const child = spawn(python, [fileURLToPath(new URL(script, import.meta.url))], {
    env: { ...process.env, HF_HUB_DISABLE_TELEMETRY: "1" },
  });
  let [output, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  child.stdin.end(JSON.stringify(input));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${script} ended with ${code}: ${errors.slice(-3000)}`);
  return JSON.parse(output.slice(Math.max(0, output.search(/[[{]/))));
}
