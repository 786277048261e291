import type { ModelFile } from "../../artifacts/model-files.ts";
import type { OpenModel } from "../stored-model.ts";
import type { WeightType } from "./weight-types.ts";

/** A model that is to be written in some format. */
export interface ExportSource extends OpenModel {
  /** Its files, by path: what they are in the artifact store. */
  readonly files: readonly ModelFile[];
  /** Rows of its embedding; 0 if that is not known. */
  readonly vocabularySize: number;
}

/** What is asked of a format. */
export interface FormatOptions {
  /** One of those that the format names. */
  readonly weights: WeightType;
  /** Whether what the format cannot state, such as layers of unlike widths, is filled up with zeros rather than refused. */
  readonly padding: boolean;
  /** How many bytes of weights a file holds at most, where the format knows several; the format's own limit if not said. */
  readonly largestFileBytes?: number;
}

/** A file of an export: one that the store holds already, under a path of its own here; or one that lies in the folder that was given. */
export type WrittenFile =
  | { readonly path: string; readonly stored: Pick<ModelFile, "sha256" | "sizeBytes"> }
  | { readonly path: string; readonly written: string };

export interface WrittenExport {
  /** Paths are relative, with forward slashes, each once. A card, README.md, comes to them. */
  readonly files: readonly WrittenFile[];
  /** What users should know of how they were written. */
  readonly notes: readonly string[];
}

/** What a format does; loaded where models are open only. */
export interface FormatWriter {
  /**
   * Refuses a model that cannot be written so, as far as that can be told from its graph and configuration. It is called before anything
   * is stored; `write` refuses the same by itself.
   *
   * @throws EspalierError whose message says what would make the export possible
   */
  check(source: ExportSource, options: FormatOptions): Promise<void>;
  /**
   * Writes the model. What is written has been proven to be the model: read anew, it gives its logits.
   *
   * @param destination an empty folder for what the store does not hold
   * @param written is told of a large file there as soon as it is whole: it is read for its digest while it is proven
   * @yields how much is done, in units of the format's own
   * @throws EspalierError if it cannot be, or is not the model; nothing is kept then
   */
  write(
    source: ExportSource,
    options: FormatOptions,
    destination: string,
    written: (path: string) => void,
  ): AsyncGenerator<{ readonly done: number; readonly total: number }, WrittenExport>;
}

/** A form in which a model leaves. The API's enum, the table of docs/exporting.md and the contract test follow from the list of them. */
export interface Format<Name extends string = string> {
  readonly name: Name;
  /** A sentence for people. */
  readonly description: string;
  /** What loads it, for the documentation. */
  readonly loadedBy: string;
  /** How its card calls the library that loads it, as the Hub knows it; and the tags that go with that. */
  readonly library: string;
  readonly tags: readonly string[];
  /** In what its weights can be kept; the first is meant where nothing is said. */
  readonly weights: readonly [WeightType, ...WeightType[]];
  open(): Promise<FormatWriter>;
}
