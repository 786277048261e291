/** What recovery yields, in order. Losses are of the texts held back, in nats per token, unless said otherwise. */
export type RecoveryEvent =
  | {
      readonly type: "STARTED";
      /** The provider that really runs. */
      readonly executionProvider: "CPU" | "CUDA";
      readonly trainedParameterCount: number;
      readonly steps: number;
      readonly heldBackLoss: number;
      readonly teacherLoss: number | null;
    }
  | {
      readonly type: "STEP";
      /** From 1. */
      readonly step: number;
      readonly steps: number;
      /** What is trained for, of the step's own texts. */
      readonly loss: number;
      readonly gradientNorm: number;
      readonly learningRate: number;
      readonly tokensPerSecond: number;
      readonly estimatedMsLeft: number;
    }
  /** Of what is solved for by closed form, in place of steps and checks. */
  | {
      readonly type: "READ";
      /** Batches that are read, from 1. */
      readonly step: number;
      readonly steps: number;
      readonly tokensPerSecond: number;
      readonly estimatedMsLeft: number;
    }
  | {
      readonly type: "CHECK";
      readonly step: number;
      readonly heldBackLoss: number;
      /** Whether it is the best so far. */
      readonly isBest: boolean;
      /** Share of the lost nats that is won back: null where the teacher does no better than the model did. */
      readonly wonBackRatio: number | null;
      readonly tokensPerSecond: number;
      readonly estimatedMsLeft: number;
      /** Path of a file from which training goes on. */
      readonly checkpoint: string;
    }
  | {
      readonly type: "RETREATED";
      /** The step that went wrong, and the one that it goes on after. */
      readonly step: number;
      readonly backToStep: number;
      readonly reason: string;
      /** What all rates are multiplied with from now on. */
      readonly rateFactor: number;
    };

/** What came of it. */
export interface RecoverySummary {
  /** The step that was kept; 0 if none was better than the model as it was. */
  readonly bestStep: number;
  /** Steps that were made. */
  readonly steps: number;
  readonly trainedParameterCount: number;
  readonly trainedTokens: number;
  readonly startLoss: number;
  readonly loss: number;
  readonly teacherLoss: number | null;
  readonly wonBackRatio: number | null;
}
