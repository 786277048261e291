import { exportTo, requireEmpty } from "../export/export-to.ts";
import type { Client } from "../shared/client.ts";
import { connectTo } from "../shared/connect-to.ts";
import { bar, LiveLine, megabytes, percent } from "../shared/display.ts";
import { followRun } from "../shared/follow-run.ts";
import { modelId } from "../shared/model-id.ts";
import { rename } from "../shared/rename.ts";

export interface CompressArguments {
  readonly model: string;
  readonly scheme: string | undefined;
  readonly method: string | undefined;
  readonly dataset: string | undefined;
  /** Absolute. */
  readonly to: string | undefined;
  /** Of the compressed model; the server's own unless said. */
  readonly name: string | undefined;
}

type CompressionEvent =
  | {
      readonly __typename: "ProductsCompressed";
      readonly step: number;
      readonly steps: number;
      readonly products: readonly { readonly parameter: string; readonly relativeError: number | null }[];
    }
  | { readonly __typename: "CompressionSucceeded" };

interface Compressed {
  readonly result: {
    readonly bytesBefore: number;
    readonly bytesAfter: number;
    readonly zeroRatio: number;
    readonly meanRelativeError: number | null;
  };
  readonly resultModel: { readonly id: string; readonly name: string; readonly remarks: readonly string[] };
}

const start = "mutation Compress($input: StartCompressionInput!) { startCompression(input: $input) { run { id } } }";

const wanted = "... on ProductsCompressed { step steps products { parameter relativeError } }";

const compressed = `query Compressed($id: ID!) { run(id: $id) { resultModel { id name remarks }
  ... on CompressionRun { result { bytesBefore bytesAfter zeroRatio meanRelativeError } } } }`;

/** The texts that a method goes by: those that were named, or the usual ones if it reads any. */
async function textsFor(client: Client, { method, dataset }: CompressArguments): Promise<object> {
  if (dataset !== undefined) return { dataset: { name: dataset } };
  const { compressionMethods: known } = await client.request<{ compressionMethods: { name: string; needsDataset: boolean }[] }>(
    "{ compressionMethods { name needsDataset } }",
  );
  const chosen = method === undefined ? known[0] : known.find(({ name }) => name === method);
  return chosen?.needsDataset === true ? { dataset: { name: "literature-train" } } : {};
}

/**
 * Compresses a model on a server, prints what came of it, and fetches it where a folder is named.
 *
 * @throws EspalierError USAGE; what the server says; the reason that the run failed for; CANCELLED; what `exportTo` throws
 */
export async function compressOn(asked: CompressArguments, server: string): Promise<void> {
  const { model, scheme, method, to, name } = asked;
  if (to !== undefined) await requireEmpty(to);
  const client = connectTo(server);
  const live = new LiveLine();
  let childId: string;
  try {
    const input = {
      subject: { modelId: await modelId(client, model) },
      ...(await textsFor(client, asked)),
      ...(scheme === undefined ? {} : { scheme }),
      ...(method === undefined ? {} : { method }),
    };
    const { id } = (await client.request<{ startCompression: { run: { id: string } } }>(start, { input })).startCompression.run;
    for await (const event of followRun<CompressionEvent>(client, id, wanted)) {
      if (event.__typename !== "ProductsCompressed") continue;
      const names = event.products.map(({ parameter }) => parameter).join(", ");
      live.update(`${bar(event.step / event.steps)} ${event.step} of ${event.steps}: ${names}`);
    }
    const { result, resultModel: child } = (await client.request<{ run: Compressed }>(compressed, { id })).run;
    await rename(client, child.id, name);
    const error =
      result.meanRelativeError === null ? "" : `, relative error of products ${percent(result.meanRelativeError)} on the average`;
    live.line(`${name ?? child.name}: id ${child.id}`);
    live.line(
      `  weights ${megabytes(result.bytesBefore)} -> ${megabytes(result.bytesAfter)}, ${percent(result.zeroRatio)} of them 0${error}`,
    );
    for (const remark of child.remarks) live.line(`  ${remark}`);
    childId = child.id;
  } finally {
    await client.close();
  }
  if (to !== undefined) await exportTo({ model: childId, format: "ONNX", to, weights: undefined, padding: false }, server);
}
