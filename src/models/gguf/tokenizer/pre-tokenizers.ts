/** Part of a tokenizer.json. */
export type Json = Readonly<Record<string, unknown>>;

/** How texts are cut into words, by what GGUF files call it (`tokenizer.ggml.pre`). */
export interface PreTokenizer {
  /** The first is what is written. */
  readonly names: readonly string[];
  readonly preTokenizer: Json;
  /** Null for none. Others are what the same name stands for where a file was made of another tokenizer. */
  readonly normalizer: Json | null;
  /** Whether a word that is a token is not cut further. */
  readonly ignoresMerges?: boolean;
  /** Whether a text begins with the BOS token unless the file says otherwise. */
  readonly addsBos?: boolean;
}

const byteLevel = (regex: boolean): Json => ({ type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: regex });
const sequence = (...pretokenizers: readonly Json[]): Json => ({ type: "Sequence", pretokenizers });
const split = (regex: string): Json => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false });
const byPattern = (regex: string): Json => sequence(split(regex), byteLevel(false));

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const rest = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
/** Words, and so many digits at a time. */
const words = (digits: string): string => `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}|${rest}`;

const [upper, lower] = ["[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"];
/** Words are cut where small letters end, too. */
const casedWords = (after: string, digits: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+${after}|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*${after}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

/** Before any name was given to them. */
const threeDigits = (marks: Json): Json =>
  sequence(marks, byteLevel(true), { type: "Digits", individual_digits: false }, split("[0-9][0-9][0-9]"));

/** What llama.cpp knows by these names, as the tokenizer.json files of such models say it. */
export const preTokenizers: readonly PreTokenizer[] = [
  {
    names: [
      "gpt-2",
      "phi-2",
      "mpt",
      "olmo",
      "jais",
      "trillion",
      "exaone4",
      "gigachat",
      "a.x-4.0",
      "mellum",
      "modern-bert",
      "granite-docling",
    ],
    preTokenizer: byteLevel(true),
    normalizer: null,
  },
  {
    names: ["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
    preTokenizer: byPattern(words("\\p{N}{1,3}")),
    normalizer: null,
    ignoresMerges: true,
    addsBos: true,
  },
  { names: ["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"], preTokenizer: byPattern(words("\\p{N}{1,3}")), normalizer: null },
  { names: ["qwen2", "deepseek-r1-qwen"], preTokenizer: byPattern(words("\\p{N}")), normalizer: { type: "NFC" } },
  { names: ["stablelm2", "hunyuan", "solar-open"], preTokenizer: byPattern(words("\\p{N}")), normalizer: null },
  {
    names: ["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
    preTokenizer: sequence({ type: "Digits", individual_digits: true }, byteLevel(true)),
    normalizer: null,
  },
  { names: ["falcon"], preTokenizer: threeDigits({ type: "Punctuation", behavior: "Contiguous" }), normalizer: null },
  { names: ["default"], preTokenizer: threeDigits(split("[\\p{P}\\$\\+<=>\\^~\\|]+")), normalizer: null },
  { names: ["tekken"], preTokenizer: byPattern(casedWords("", "\\p{N}")), normalizer: null, ignoresMerges: true, addsBos: true },
  {
    names: ["gpt-4o", "llama4", "kanana2"],
    preTokenizer: byPattern(casedWords(`${contractions}?`, "\\p{N}{1,3}")),
    normalizer: null,
  },
];

export const preTokenizerNamed = (name: string): PreTokenizer | undefined => preTokenizers.find(({ names }) => names.includes(name));
