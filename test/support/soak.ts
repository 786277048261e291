import { setTimeout as delay } from "node:timers/promises";
import { randomInteger, seededRandom } from "../../src/random.ts";
import { greedy, openWriter, written } from "./writer.ts";

export interface SoakOptions {
  readonly folder: string;
  readonly clients: number;
  readonly seconds: number;
  readonly seed: number;
  /** Requests whose text is held against what the model writes alone, afterwards. */
  readonly check: number;
}

export interface SoakResult {
  readonly finished: number;
  readonly cancelled: number;
  /** Texts that are not what their own request gives alone. */
  readonly crossed: number;
  readonly left: { readonly active: number; readonly waiting: number };
  /** Resident memory in MiB a quarter of the way in, and at the end. */
  readonly memory: readonly [number, number];
}

const rss = () => Math.round(process.memoryUsage.rss() / 2 ** 20);

/** Clients that ask for texts of many kinds, and leave about a third of them, for a while. */
export async function soak({ folder, clients, seconds, seed, check }: SoakOptions): Promise<SoakResult> {
  const writer = await openWriter(folder, { threads: 2 });
  const until = performance.now() + seconds * 1000;
  /** Of those that have finished, so many drawn evenly (Vitter's algorithm R): to keep all would look like a leak. */
  const kept: { request: Parameters<typeof written>[1]; text: string }[] = [];
  const draw = seededRandom(seed, "check");
  let finished = 0;
  let cancelled = 0;
  let early = 0;
  const client = async (number: number): Promise<void> => {
    const random = seededRandom(seed, `client ${number}`);
    while (performance.now() < until) {
      if (early === 0 && performance.now() > until - seconds * 750) early = rss();
      const request = {
        ...greedy,
        client: `client ${number}`,
        temperature: random() < 0.3 ? 0 : 1,
        seed: randomInteger(random, 2 ** 31),
        maxTokens: 1 + randomInteger(random, 60),
        prompt: "The whale and the Union. ".repeat(randomInteger(random, 12)) + String.fromCodePoint(65 + randomInteger(random, 26)),
        topLogprobs: random() < 0.2 ? 2 : null,
        stop: random() < 0.2 ? ["the"] : [],
      };
      const leaving = new AbortController();
      const leaves = random() < 0.35;
      if (leaves) void delay(random() * 800).then(() => leaving.abort(new Error("left")));
      try {
        const { text } = await written(writer, request, leaving.signal);
        const place = randomInteger(draw, ++finished);
        if (kept.length < check) kept.push({ request, text });
        else if (place < check) kept[place] = { request, text };
      } catch (error) {
        if ((error as Error).message !== "left") throw error;
        cancelled++;
      }
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
  const memory = [early, rss()] as const;
  const left = writer.engine.load;
  let crossed = 0;
  for (const { request, text } of kept) if ((await written(writer, request)).text !== text) crossed++;
  await writer.engine.close();
  return { finished, cancelled, crossed, left, memory };
}
