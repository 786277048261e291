import { EspalierError } from "../errors.ts";

/** Null if it is refused: what stands in the way is for others to say. */
export function unlessRefused<T>(step: () => T): T | null {
  try {
    return step();
  } catch (error) {
    if (error instanceof EspalierError) return null;
    throw error;
  }
}
