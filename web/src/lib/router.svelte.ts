/** Where the page is, as its address says behind the `#`: every view can be linked to, reloaded and gone back to. */
class Place {
  path = $state("/");
  query = $state.raw(new URLSearchParams());

  constructor() {
    this.read();
    addEventListener("hashchange", () => this.read());
  }

  private read(): void {
    const [path = "", query = ""] = location.hash.slice(1).split("?", 2);
    this.path = path.startsWith("/") ? path : "/";
    this.query = new URLSearchParams(query);
  }
}

export const place = new Place();

const patterns = new Set<string>();

/** Says which views there are. */
export function register(all: readonly string[]): void {
  for (const pattern of all) patterns.add(pattern);
}

/** Whether there is a view of a pattern, to be led to. */
export const hasView = (pattern: string): boolean => patterns.has(pattern);

type QueryValue = string | number | readonly string[] | null | undefined;

/** The address of a place, for a link: `href("/runs", { status: ["FAILED"] })`. What is null, empty or undefined is left out. */
export function href(path: string, query: Readonly<Record<string, QueryValue>> = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    for (const each of Array.isArray(value) ? value : [value]) if (each != null && each !== "") parameters.append(name, String(each));
  const text = parameters.toString();
  return `#${path}${text ? `?${text}` : ""}`;
}

export function go(path: string, query: Readonly<Record<string, QueryValue>> = {}): void {
  location.hash = href(path, query);
}

/** Changes what the address says behind the `?`, without a step in the browser's history: filters, sliders. */
export function refine(changes: Readonly<Record<string, QueryValue>>): void {
  const query: Record<string, QueryValue> = {};
  for (const name of place.query.keys()) query[name] = place.query.getAll(name);
  history.replaceState(null, "", href(place.path, { ...query, ...changes }));
  dispatchEvent(new HashChangeEvent("hashchange"));
}

export type Parameters = Readonly<Record<string, string>>;

/** Holds a path against a pattern such as `/models/:id`; null if it does not fit. */
export function match(pattern: string, path: string): Parameters | null {
  const [wanted, given] = [pattern.split("/"), path.replace(/(?<=.)\/$/, "").split("/")];
  if (wanted.length !== given.length) return null;
  const parameters: Record<string, string> = {};
  for (const [i, part] of wanted.entries()) {
    const value = decoded(given[i] as string);
    if (part.startsWith(":")) parameters[part.slice(1)] = value;
    else if (part !== value) return null;
  }
  return parameters;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
