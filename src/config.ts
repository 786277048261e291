import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { EspalierError } from "./errors.ts";

/** Where the program lies: a checkout, or the package as it was installed. */
export const home = fileURLToPath(new URL("..", import.meta.url));

/** The models that come with the program. */
export const bundledModels = join(home, "models");

const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

const roles = ["all", "api", "worker"] as const;
/** What a process does. Processes of any role share one database. */
export type Role = (typeof roles)[number];

/** What a worker can compute on. */
const providers = ["CPU", "CUDA"] as const;
export type WorkerProvider = (typeof providers)[number];

export interface Config {
  readonly role: Role;
  /** The worker takes no job that asks for anything else. Null: whatever is asked, or in the role `worker` what it finds it has. */
  readonly workerProviders: readonly WorkerProvider[] | null;
  /** Jobs at a time, of each kind. */
  readonly workerConcurrency: number;
  readonly host: string;
  readonly port: number;
  /** Names that the server is called by, beside its address and those of the loopback interface. */
  readonly allowedHosts: readonly string[];
  /** Origins of other sites whose pages may use the server. */
  readonly allowedOrigins: readonly string[];
  /** Lets everybody in, as long as there is no token, also from other machines. */
  readonly open: boolean;
  /** Makes an administrator's token at the start where there is none. */
  readonly firstToken: boolean;
  /** Where artifacts lie, and the embedded database. */
  readonly dataDirectory: string;
  /** Null: the embedded database. */
  readonly databaseUrl: string | null;
  /** Where artifacts lie, as `s3://bucket/prefix`. Null: in the data directory, or where that says. */
  readonly artifacts: string | null;
  /** Models are registered from under this folder only. */
  readonly modelRoot: string;
  /** A server that answers like the Hugging Face Hub, from which models come that are named by their repository. Null: the Hub itself. */
  readonly hub: string | null;
  /** Shown to the Hub; null for what everybody may have. */
  readonly hubToken: string | null;
  /** What one client may have sent and not yet made models of, in MiB. */
  readonly uploads: number;
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
const someOf =
  <T extends string>(values: readonly T[]): Parse<readonly T[]> =>
  (text) => {
    const found = text.split(",").map((part) => oneOf(values)(part.trim()));
    return found.every((value) => value !== undefined) && new Set(found).size === found.length ? found : undefined;
  };
const listOf =
  (parse: Parse<string>): Parse<readonly string[]> =>
  (text) => {
    const found = text.split(",").map((part) => parse(part.trim()));
    return found.every((value) => value !== undefined) ? found : undefined;
  };
const upTo =
  (most: number): Parse<number> =>
  (text) =>
    /^[1-9]\d{0,5}$/.test(text) && Number(text) <= most ? Number(text) : undefined;
const port: Parse<number> = (text) => (/^\d{1,5}$/.test(text) && Number(text) <= 65535 ? Number(text) : undefined);
const postgresUrl: Parse<string> = (text) => (URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol) ? text : undefined);
const s3Address: Parse<string> = (text) => (URL.canParse(text) && /^s3:\/\/[^/?@:]+([/?]|$)/.test(text) ? text : undefined);
const folder: Parse<string> = (text) => resolve(text);
const mebibytes: Parse<number> = (value) => (/^[1-9]\d{0,8}$/.test(value) ? Number(value) : undefined);
/** As URLs spell it: in lower case. */
const hostName: Parse<string> = (text) =>
  /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(text) && URL.canParse(`http://${text}`) ? new URL(`http://${text}`).hostname : undefined;
const origin: Parse<string> = (text) => (/^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text ? text : undefined);
const secret: Parse<string> = (text) => (/^[\x21-\x7e]{1,1000}$/.test(text) ? text : undefined);
const yesOrNo: Parse<boolean> = (text) => ({ true: true, false: false })[text];
const text: Parse<string> = (value) => value;

/** Each setting: its variable, how it is read, what it must be, and what it is when the variable is unset or empty. */
const settings: { readonly [Key in keyof Config]: readonly [variable: string, Parse<Config[Key]>, must: string, fallback: Config[Key]] } = {
  role: ["ESPALIER_ROLE", oneOf(roles), `be one of ${roles.join(", ")}`, "all"],
  workerProviders: ["ESPALIER_WORKER_PROVIDERS", someOf(providers), `list some of ${providers.join(", ")}, with commas`, null],
  workerConcurrency: ["ESPALIER_WORKER_CONCURRENCY", upTo(64), "be a number from 1 to 64", 1],
  host: ["HOST", text, "be a host name or address", "127.0.0.1"],
  port: ["PORT", port, "be a number from 0 to 65535", 4000],
  allowedHosts: ["ESPALIER_ALLOWED_HOSTS", listOf(hostName), "list names of hosts, without ports, with commas", []],
  allowedOrigins: ["ESPALIER_ALLOWED_ORIGINS", listOf(origin), "list origins, such as https://example.org, with commas", []],
  open: ["ESPALIER_OPEN", yesOrNo, "be true or false", false],
  firstToken: ["ESPALIER_FIRST_TOKEN", yesOrNo, "be true or false", false],
  dataDirectory: ["ESPALIER_DATA_DIRECTORY", folder, "be a folder", resolve("data")],
  databaseUrl: ["DATABASE_URL", postgresUrl, "be a postgresql:// address", null],
  artifacts: ["ESPALIER_ARTIFACTS", s3Address, "be an s3:// address, such as s3://bucket/prefix?endpoint=https://host", null],
  modelRoot: ["ESPALIER_MODEL_ROOT", folder, "be a folder", existsSync("models") ? resolve("models") : bundledModels],
  hub: ["ESPALIER_HUB", origin, "be an origin, such as https://hub.example.org", null],
  hubToken: ["ESPALIER_HUB_TOKEN", secret, "be a token, without blanks", null],
  uploads: ["ESPALIER_UPLOADS", mebibytes, "be a number of MiB", 100 * 1024],
  datasetRoot: ["ESPALIER_DATASET_ROOT", folder, "be a folder", resolve("datasets")],
  modelMemory: ["ESPALIER_MODEL_MEMORY", mebibytes, "be a number of MiB", null],
  logLevel: ["LOG_LEVEL", oneOf(logLevels), `be one of ${logLevels.join(", ")}`, "info"],
};

/**
 * The configuration, from environment variables.
 *
 * @param role in place of the variable's, if the program was given one
 * @throws EspalierError BAD_CONFIGURATION naming every variable that is wrong and what it must be
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>> = process.env, role?: string): Config {
  const problems: string[] = [];
  const entries = Object.entries(settings).map(([key, [variable, parse, must, fallback]]) => {
    const given = (key === "role" && role) || environment[variable];
    const value = given ? parse(given) : fallback;
    // The value itself is not repeated: it may hold a password.
    if (value === undefined) problems.push(`${variable} must ${must}`);
    return [key, value];
  });
  if (problems.length > 0) throw new EspalierError("BAD_CONFIGURATION", problems.join("; "), { problems });
  return Object.freeze(Object.fromEntries(entries)) as Config;
}

/** The address of a server that was started here with the same settings. */
export const serverHere = (environment: Readonly<Record<string, string | undefined>> = process.env): string =>
  `http://127.0.0.1:${settings.port[1](environment[settings.port[0]] ?? "") || settings.port[3]}`;

/** The token that commands which are clients of a server show it; undefined if there is none. */
export const accessToken = (environment: Readonly<Record<string, string | undefined>> = process.env): string | undefined =>
  environment["ESPALIER_TOKEN"] || undefined;

/** Settings of which nobody is told the value: it may hold a password. */
const secrets: readonly (keyof Config)[] = ["databaseUrl", "artifacts", "hubToken"];

/** A setting as administrators are told it. */
export interface ToldSetting {
  /** Its variable. */
  readonly name: string;
  /** Null where it is not set, or a secret. */
  readonly value: string | null;
  readonly isSecret: boolean;
  /** Whether it has a value, told or not. */
  readonly isSet: boolean;
  readonly must: string;
}

/** Every setting as it is, without secrets. */
export const toldSettings = (config: Config): ToldSetting[] =>
  (Object.keys(settings) as (keyof Config)[]).map((key) => {
    const [name, , must] = settings[key];
    const isSecret = secrets.includes(key);
    const isSet = config[key] !== null && `${config[key]}` !== "";
    return { name, value: isSecret || !isSet ? null : String(config[key]), isSecret, isSet, must };
  });

/** Every setting for people: its variable, what it must be, and what it is otherwise. */
export const settingsInWords: readonly (readonly [variable: string, words: string])[] = Object.values(settings).map(
  ([variable, , must, fallback]) => [variable, `must ${must}${fallback === null || `${fallback}` === "" ? "" : ` (${fallback})`}`],
);

/**
 * The environment for a server that a command starts for itself: the caller's, but of all settings only the port.
 *
 * @param freePort for where the caller names none
 */
export function ownServerEnvironment(
  folders: Pick<Config, "dataDirectory" | "modelRoot" | "datasetRoot">,
  freePort: number,
): NodeJS.ProcessEnv & { readonly PORT: string } {
  const variables = new Set<string>(Object.values(settings).map(([variable]) => variable));
  const others = Object.entries(process.env).filter(([name]) => !variables.has(name));
  const own = Object.entries(folders).map(([key, folder]) => [settings[key as keyof typeof folders][0], folder]);
  return { ...Object.fromEntries([...others, ...own]), PORT: process.env[settings.port[0]] || String(freePort) };
}

/** The folder that the caller's paths start from: npm runs a checkout's scripts in the checkout, and says where it was called. */
export function callersFolder(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const { INIT_CWD, npm_package_json } = environment;
  return INIT_CWD && npm_package_json === join(home, "package.json") ? INIT_CWD : process.cwd();
}
