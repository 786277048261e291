import { EspalierError } from "../errors.ts";

/** About two seconds of work; the largest models that people have need a quarter. */
const most = 8e6;

/**
 * Counts steps of searches that are quadratic in the graph, which for real models is cheap, so that none goes on for hours.
 *
 * @throws EspalierError GRAPH_TOO_LARGE when too many were spent
 */
export function effort(): (steps: number) => void {
  let spent = 0;
  return (steps) => {
    spent += steps;
    if (spent > most)
      throw new EspalierError("GRAPH_TOO_LARGE", "the graph has too many nodes and branches for its structures to be found in good time");
  };
}
