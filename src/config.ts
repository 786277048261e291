import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { EspalierError } from "./errors.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

const roles = ["all", "api", "worker"] as const;
/** What a process does. Processes of any role share one database. */
export type Role = (typeof roles)[number];

export interface Config {
  readonly role: Role;
  readonly host: string;
  readonly port: number;
  /** Where artifacts lie, and the embedded database. */
  readonly dataDirectory: string;
  /** Null: the embedded database. */
  readonly databaseUrl: string | null;
  /** Models are registered from under this folder only. */
  readonly modelRoot: string;
  /** Datasets are registered from under this folder only. */
  readonly datasetRoot: string;
  /** That models kept loaded may take together, in MiB; null: half of the machine's. */
  readonly modelMemory: number | null;
  readonly logLevel: LogLevel;
}

type Parse<T> = (text: string) => T | undefined;

const oneOf =
  <T extends string>(values: readonly T[]): Parse<T> =>
  (text) =>
    values.find((value) => value === text);
const port: Parse<number> = (text) => (/^\d{1,5}$/.test(text) && Number(text) <= 65535 ? Number(text) : undefined);
const postgresUrl: Parse<string> = (text) => (URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol) ? text : undefined);
const folder: Parse<string> = (text) => resolve(text);
const mebibytes: Parse<number> = (value) => (/^[1-9]\d{0,8}$/.test(value) ? Number(value) : undefined);
const text: Parse<string> = (value) => value;

/** Each setting: its variable, how it is read, what it must be, and what it is when the variable is unset or empty. */
const settings: { readonly [Key in keyof Config]: readonly [variable: string, Parse<Config[Key]>, must: string, fallback: Config[Key]] } = {
  role: ["ESPALIER_ROLE", oneOf(roles), `be one of ${roles.join(", ")}`, "all"],
  host: ["HOST", text, "be a host name or address", "127.0.0.1"],
  port: ["PORT", port, "be a number from 0 to 65535", 4000],
  dataDirectory: ["ESPALIER_DATA_DIRECTORY", folder, "be a folder", join(root, "data")],
  databaseUrl: ["DATABASE_URL", postgresUrl, "be a postgresql:// address", null],
  modelRoot: ["ESPALIER_MODEL_ROOT", folder, "be a folder", join(root, "models")],
  datasetRoot: ["ESPALIER_DATASET_ROOT", folder, "be a folder", join(root, "datasets")],
  modelMemory: ["ESPALIER_MODEL_MEMORY", mebibytes, "be a number of MiB", null],
  logLevel: ["LOG_LEVEL", oneOf(logLevels), `be one of ${logLevels.join(", ")}`, "info"],
};

/**
 * The configuration, from environment variables.
 *
 * @throws EspalierError BAD_CONFIGURATION naming every variable that is wrong and what it must be
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>> = process.env): Config {
  const problems: string[] = [];
  const entries = Object.entries(settings).map(([key, [variable, parse, must, fallback]]) => {
    const given = environment[variable];
    const value = given ? parse(given) : fallback;
    // The value itself is not repeated: it may hold a password.
    if (value === undefined) problems.push(`${variable} must ${must}`);
    return [key, value];
  });
  if (problems.length > 0) throw new EspalierError("BAD_CONFIGURATION", problems.join("; "), { problems });
  return Object.freeze(Object.fromEntries(entries)) as Config;
}
