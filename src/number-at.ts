/**
 * A number that is there. Not for hot loops: given arrays of many kinds, V8 reads slowly through it.
 *
 * @throws RangeError beyond the end
 */
export function numberAt(values: ArrayLike<number>, i: number): number {
  const value = values[i];
  if (value === undefined) throw new RangeError(`there is no element ${i} of ${values.length}`);
  return value;
}
