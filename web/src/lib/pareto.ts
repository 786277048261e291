export interface Spot {
  readonly id: string;
  readonly x: number;
  readonly y: number;
}

/**
 * Those of some points that no other is better than in both: as good in one, and better in the other. In order of x.
 *
 * @param lowX whether less of x is better
 * @param lowY the same of y
 */
export function front<Each extends Spot>(spots: readonly Each[], lowX: boolean, lowY: boolean): Each[] {
  const [alongX, alongY] = [lowX ? 1 : -1, lowY ? 1 : -1];
  const sorted = [...spots].sort((a, b) => alongX * (a.x - b.x) || alongY * (a.y - b.y));
  const kept: Each[] = [];
  let best = Number.POSITIVE_INFINITY;
  for (const spot of sorted) {
    if (alongY * spot.y >= best) continue;
    best = alongY * spot.y;
    kept.push(spot);
  }
  return lowX ? kept : kept.reverse();
}
