import assert from "node:assert/strict";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { attacks, type Known, scales } from "./attacks.ts";
import { type Memory, Target } from "./target.ts";

/** What a monitor saw while something went on. */
export interface Watched {
  readonly answers: number;
  readonly failures: number;
  /** The longest that `/livez` took; milliseconds. */
  readonly silenceMs: number;
  /** The most that the server's main thread computed within one such answer; milliseconds, in steps of 10. */
  readonly computedMs: number;
}

export interface Figures extends Watched {
  readonly form: keyof typeof scales;
  readonly attacks: number;
  /** Of attacks that were not met as they must be, what was wrong. */
  readonly wrong: readonly string[];
  /** Of the attack during which the thread computed longest at a stretch, and the one in which `/livez` took longest. */
  readonly slowest: { readonly computed: string; readonly silence: string };
  /** Bytes. */
  readonly largestRefusal: number;
  /** After everything was tried once, and once more. */
  readonly memory: readonly [before: Memory, after: Memory];
}

class Monitor {
  private constructor(private readonly worker: Worker) {}

  static start({ url, pid }: Target): Monitor {
    return new Monitor(new Worker(new URL("watch.mjs", import.meta.url), { workerData: { url, pid } }));
  }

  /** Since the last time. */
  async take(message = "take"): Promise<Watched> {
    const said = once(this.worker, "message");
    this.worker.postMessage(message);
    return (await said)[0] as Watched;
  }

  async stop(): Promise<void> {
    await Promise.all([this.take("over"), once(this.worker, "exit")]);
  }
}

async function register(target: Target, path: string): Promise<string> {
  const { data, code } = await target.ask(`mutation { registerModel(input: { source: { path: "${path}" } }) { model { id } } }`);
  assert.ok(data, `the model ${path} was not registered: ${code}`);
  return data.registerModel.model.id;
}

function largest(byAttack: ReadonlyMap<string, number>): { readonly name: string; readonly ms: number } {
  const [[name, ms] = ["", 0]] = [...byAttack].sort(([, a], [, b]) => b - a);
  return { name, ms };
}

/**
 * Attacks a server of its own in all ways, twice, and says what became of it. Of each attack's two times the lesser counts: what holds
 * the server does so again, and what a busy machine or a first compilation adds does not.
 */
export async function attack(form: keyof typeof scales, say: (line: string) => void): Promise<Figures> {
  const target = await Target.start();
  const monitor = Monitor.start(target);
  try {
    const known: Known = { ahab: await register(target, "ahab"), hostile: await register(target, "hostile") };
    const total = { answers: 0, failures: 0 };
    const computed = new Map<string, number>();
    const silent = new Map<string, number>();
    const memory: Memory[] = [];
    const wrong: string[] = [];
    for (const round of [1, 2]) {
      for (const [name, run] of Object.entries(attacks[form])) {
        await monitor.take();
        const begun = performance.now();
        try {
          await run(target, scales[form], known);
        } catch (cause) {
          wrong.push(`${name}: ${(cause as Error).message}`);
        }
        const seen = await monitor.take();
        assert.ok(target.alive, `${name}: the server ended`);
        say(
          `${round} ${name}: ${Math.round(performance.now() - begun)} ms, /livez ${Math.round(seen.silenceMs)} ms, computed ${seen.computedMs} ms`,
        );
        total.answers += seen.answers;
        total.failures += seen.failures;
        computed.set(name, Math.min(computed.get(name) ?? Number.POSITIVE_INFINITY, seen.computedMs));
        silent.set(name, Math.min(silent.get(name) ?? Number.POSITIVE_INFINITY, seen.silenceMs));
      }
      await target.hangUp();
      memory.push(await target.memory());
    }
    const [mostComputed, longestSilence] = [largest(computed), largest(silent)];
    return {
      form,
      attacks: Object.keys(attacks[form]).length,
      ...total,
      computedMs: mostComputed.ms,
      silenceMs: longestSilence.ms,
      wrong,
      slowest: { computed: mostComputed.name, silence: longestSilence.name },
      largestRefusal: target.largestRefusal,
      memory: memory as unknown as Figures["memory"],
    };
  } finally {
    await monitor.stop();
    await target.stop();
  }
}
