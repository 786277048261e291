/** What measures are called, all over the page. */
export const measureNames = {
  perplexity: "Perplexity",
  nextTokenAccuracy: "Next-token accuracy",
  accuracy: "Accuracy",
  normalizedAccuracy: "Accuracy, by length",
  byteNormalizedAccuracy: "Accuracy, by bytes",
  exactMatch: "Exact matches",
  divergence: "Divergence (KL), nats",
  greedyAgreement: "Same token most probable",
  commonBeginningTokens: "Tokens alike after a prompt",
  decodeTokensPerSecond: "Writes, tokens/s",
  prefillTokensPerSecond: "Reads, tokens/s",
} as const;
export type MeasureName = keyof typeof measureNames;

/** What has a standard error beside it. */
export type SampledName = Exclude<MeasureName, "decodeTokensPerSecond" | "prefillTokensPerSecond">;
