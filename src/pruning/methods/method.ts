/**
 * A pruning method: how the evidence of one structure becomes one number. The lowest number is removed first.
 * A method never sees a session, a graph or the loop.
 */
export interface Method {
  /** Its name in the API. */
  readonly name: string;
  /** What it does and where it is from, for people who choose. */
  readonly description: string;
  /**
   * @param norms one entry a sample: the norm, over all of the structure's parameters, of the difference between the
   *   loss gradients of the sample's two views
   */
  score(norms: readonly number[]): number;
}
