/** In the place of a target where nothing is predicted. */
export const unpredicted = -1;

/** What one run reads of a text, and what it is to predict of it. */
export interface View {
  /** [n] token ids. */
  readonly ids: readonly number[];
  /** [n] of which of two texts each token is; none: all are of the first. */
  readonly types?: readonly number[];
  /** [n] for each token what its logits are to predict, or `unpredicted`; [1] where logits are of the whole text; [] where there are none to judge. */
  readonly targets: readonly number[];
}

/** A text of which each token predicts the next. */
export const nextTokens = (ids: readonly number[]): View => ({ ids: ids.slice(0, -1), targets: ids.slice(1) });
