import { type Contestant, rateOf } from "./contestants.ts";

/** Of node-llama-cpp, what is used here: it is no dependency, and may not be installed. */
interface LlamaModule {
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{
      createContext(options: object): Promise<{
        getSequence(): {
          evaluate(tokens: readonly number[], options: object): AsyncGenerator<number>;
          clearHistory(): Promise<void>;
        };
      }>;
      dispose(): Promise<void>;
    }>;
  }>;
}

/** llama.cpp on the same weights. @throws if node-llama-cpp is not installed (`npm i --no-save --ignore-scripts node-llama-cpp`) */
export async function llamaCpp(gguf: string, threads: number): Promise<Contestant> {
  const name = "node-llama-cpp";
  const { getLlama } = (await import(name)) as LlamaModule;
  const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, maxThreads: threads, logLevel: "error" });
  const model = await llama.loadModel({ modelPath: gguf });
  const context = await model.createContext({ contextSize: 512, threads, batchSize: 512 });
  const sequence = context.getSequence();
  return {
    async run(promptIds, tokens) {
      await sequence.clearHistory();
      const begun = performance.now();
      const times: number[] = [];
      for await (const _ of sequence.evaluate(promptIds, { temperature: 0, yieldEogToken: true }))
        if (times.push(performance.now()) === tokens) break;
      return rateOf(begun, [times]);
    },
    close: () => model.dispose(),
  };
}
