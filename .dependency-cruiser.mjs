/**
 * Who may import whom. In src/: a folder, and the folders (or files of src/) it may import besides itself, channel.ts, child-environment.ts, condition.ts, errors.ts, finished.ts, heard.ts, in-folder.ts, is-object.ts, is-whole.ts, large-lists.ts, model-task.ts, number-at.ts, random.ts, sha256-of-stream.ts, under-root.ts, unless-absent.ts and version.ts.
 * What is not listed is an error, and so is a cycle. Tests and scripts: see the last rules.
 */
const directions = {
  onnx: [],
  operators: ["onnx"],
  runtime: ["onnx"],
  signature: ["onnx"],
  autodiff: ["onnx", "operators"],
  structures: ["onnx", "operators", "runtime", "signature"],
  text: [],
  "serving-graph": ["onnx", "operators", "runtime", "signature"],
  inference: ["onnx", "runtime", "serving-graph", "signature", "text"],
  evaluation: ["inference", "onnx", "runtime", "signature", "text"],
  pruning: ["autodiff", "onnx", "runtime", "signature", "structures", "text"],
  algebra: ["onnx", "runtime"],
  compression: ["algebra", "autodiff", "onnx", "operators", "runtime", "signature", "structures", "text"],
  recovery: ["algebra", "autodiff", "onnx", "operators", "pruning", "runtime", "signature", "structures", "text"],
  artifacts: [],
  models: ["artifacts", "autodiff", "onnx", "operators", "runtime", "signature", "structures", "text"],
  postgres: [],
  store: ["generated"],
  compute: ["artifacts", "compression", "evaluation", "inference", "models", "pruning", "recovery", "runtime", "text"],
  rules: ["compression/(?:methods|options)", "compute", "pruning", "recovery/(?:methods|objectives|options)", "store", "text"],
  jobs: ["artifacts", "compression/methods", "compute", "rules", "store"],
  services: [
    "artifacts",
    "compression/(?:methods|options)",
    "compute",
    "jobs",
    "models/cards/card-of-export",
    "models/formats/(?:card-format|formats)",
    "models/import/file-paths",
    "pruning",
    "recovery/(?:methods|objectives|options)",
    "rules",
    "store",
    "text",
  ],
  api: [
    "compression/(?:methods|options)",
    "compute",
    "jobs",
    "models/formats/formats",
    "models/formats/weight-types",
    "pruning",
    "recovery/(?:methods|options)",
    "rules",
    "services",
    "store",
    "text",
  ],
  commands: ["compute", "config", "models", "onnx", "postgres", "pruning", "services", "start", "store", "structures"],
};

/** Records that cross the layers: what a folder may name in `import type` beyond what it may import. */
const typesOnly = {
  signature: ["runtime"],
  structures: ["onnx"],
  store: ["artifacts", "compression", "evaluation", "models", "pruning", "recovery", "structures", "text"],
  compute: ["structures"],
  rules: ["artifacts", "evaluation"],
  jobs: ["models", "runtime", "structures"],
  services: ["compression", "evaluation", "models", "recovery"],
  api: ["artifacts", "compression", "inference", "models", "recovery", "runtime", "structures"],
};

/** The same for web/src/. A view is shown by its address, and imports no other. */
const webDirections = {
  lib: [],
  api: ["generated", "lib"],
  parts: ["api", "lib", "routes"],
  views: ["api", "lib", "parts", "routes"],
};

/** Packages with one importer, so that each can be replaced in one folder. */
const owners = {
  "onnxruntime-(node|common)": "runtime",
  "@prisma": "store",
  "onnx-buf": "onnx",
  "pg-boss": "jobs",
  "type-graphql": "api",
};

const anyOf = (names) => (names.length > 0 ? `(?:${names.join("|")})` : "(?!)");
/** A name is that of a folder of src/, or of a file in it. */
const within = (names) => `^src/${anyOf(names)}(?:/|[.]ts$)`;
const shared =
  "^src/(?:channel|child-environment|condition|errors|finished|heard|in-folder|is-object|is-whole|large-lists|model-task|number-at|random|sha256-of-stream|under-root|unless-absent|version)[.]ts$";

const direction = ([folder, allowed]) => ({
  name: `${folder}-imports`,
  comment: `src/${folder} may import ${allowed.join(", ") || "nothing of ours"}; see .dependency-cruiser.mjs`,
  severity: "error",
  from: { path: within([folder]) },
  to: { path: "^src/", pathNot: [within([folder, ...allowed]), shared], dependencyTypesNot: ["type-only"] },
});

const typeDirection = ([folder, allowed]) => ({
  name: `${folder}-types`,
  comment: `src/${folder} may name types of ${[...allowed, ...(typesOnly[folder] ?? [])].join(", ") || "nothing of ours"}`,
  severity: "error",
  from: { path: within([folder]) },
  to: { path: "^src/", pathNot: [within([folder, ...allowed, ...(typesOnly[folder] ?? [])]), shared], dependencyTypes: ["type-only"] },
});

const owner = ([pkg, folder]) => ({
  name: `${folder}-owns-${pkg}`,
  comment: `only src/${folder} imports ${pkg}`,
  severity: "error",
  from: { path: "^src/", pathNot: [within([folder]), "^src/generated/"] },
  to: { path: `(?:^|/)node_modules/${pkg}(?:/|$)` },
});

const rules = [
  ...Object.entries(directions).flatMap((entry) => [direction(entry), typeDirection(entry)]),
  ...Object.entries(owners).map(owner),
  {
    name: "every-folder-is-listed",
    severity: "error",
    from: { path: "^src/[^/]+/", pathNot: [within([...Object.keys(directions), "generated"])] },
    to: {},
  },
  {
    name: "what-all-share-imports-nothing",
    severity: "error",
    from: { path: shared },
    to: { path: "^src/", pathNot: "^src/errors[.]ts$" },
  },
  {
    name: "no-cycles",
    comment: "a form holds forms",
    severity: "error",
    from: { path: "^(?:src|test|scripts|web)/", pathNot: "^(?:src/generated/|web/src/parts/SchemaForm[.]svelte$)" },
    to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
  },
  {
    name: "product-imports-no-test-or-script",
    severity: "error",
    from: { path: "^src/" },
    to: { path: "^(?:test|scripts)/" },
  },
  {
    name: "tests-share-in-support",
    comment: "what tests of two folders use lies in test/support",
    severity: "error",
    from: { path: "^test/([^/]+)/" },
    to: { path: "^test/", pathNot: "^test/(?:$1|support)/" },
  },
  {
    name: "support-knows-no-test",
    severity: "error",
    from: { path: "^test/support/" },
    to: { path: "^(?:test|scripts)/", pathNot: "^test/support/" },
  },
  {
    name: "scripts-are-apart",
    comment: "a script uses the product, its own folder and test/support",
    severity: "error",
    from: { path: "^scripts/([^/]+)/" },
    to: { path: "^(?:test|scripts)/", pathNot: "^(?:scripts/$1|test/support)/" },
  },
  {
    name: "tests-call-checks-and-generators-alone",
    severity: "error",
    from: { path: "^test/" },
    to: { path: "^scripts/", pathNot: "^scripts/(?:checks|generate|package|benches/large-model)/" },
  },
  {
    name: "the-dashboard-is-apart",
    comment: "it works on the public API alone",
    severity: "error",
    from: { path: "^web/" },
    to: { path: "^(?:src|test|scripts)/" },
  },
  {
    name: "nobody-imports-the-dashboard",
    severity: "error",
    from: { path: "^(?:src|test|scripts)/" },
    to: { path: "^web/" },
  },
  ...Object.entries(webDirections).map(([folder, allowed]) => ({
    name: `web-${folder}-imports`,
    comment: `web/src/${folder} may import ${allowed.join(", ") || "nothing of ours"}`,
    severity: "error",
    from: { path: `^web/src/${folder}/` },
    to: { path: "^web/", pathNot: `^web/src/${anyOf([folder, ...allowed])}(?:/|[.]ts$)` },
  })),
  {
    name: "no-unresolvable",
    severity: "error",
    from: {},
    to: { couldNotResolve: true },
  },
  {
    name: "product-imports-no-development-package",
    severity: "error",
    from: { path: "^src/" },
    to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only", "npm"] },
  },
];

// biome-ignore lint/style/noDefaultExport: the form the tool reads
export default {
  forbidden: rules,
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
  },
};
