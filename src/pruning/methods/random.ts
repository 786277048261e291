import { structureKinds } from "../../structures/structure.ts";
import type { MethodOf } from "./method.ts";

/** Chance: what any other method has to beat. The same seed removes the same structures. */
export const random: MethodOf<"chance"> = {
  name: "RANDOM",
  description: "Removes structures at random, by the seed. What any other method has to beat.",
  kinds: structureKinds,
  needs: "chance",
  normalization: "NONE",
  score: (number) => number,
};
