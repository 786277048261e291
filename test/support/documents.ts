/** A few stories in plain words, for models whose tokenizers know little else. */
export const tinyStories: readonly string[] = [
  "Once upon a time there was a little girl who lived near the sea. Every morning she went to the water and looked for the old man with his boat. " +
    "One day the wind was strong and the boat did not come home. She waited until the light was gone, and then she saw a small fire on the far rocks.",
  "The dog and the cat were friends. They shared their food and slept in the same bed. When the winter came the snow was high, and the dog dug a path " +
    "from the door to the tree so that the cat could climb it and tell him what she saw.",
  "A man sold bread in the town. His bread was good but his shop was dark, so nobody came in. His son painted the door red and put a lamp over it. " +
    "The next day people asked each other who the new baker was.",
];
