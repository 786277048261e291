import { EspalierError } from "../errors.ts";

/**
 * Refuses a model that is too large to be answered for at once.
 *
 * @param mostBytes undefined for any number
 * @throws EspalierError MODEL_TOO_LARGE
 */
export function requireSmall(sizeBytes: number, mostBytes: number | undefined): void {
  if (mostBytes === undefined || sizeBytes <= mostBytes) return;
  throw new EspalierError(
    "MODEL_TOO_LARGE",
    `the model's files have ${sizeBytes} bytes; registerModel takes up to ${mostBytes}, and startImport any number: it tells how it goes`,
    { sizeBytes, mostBytes },
  );
}
