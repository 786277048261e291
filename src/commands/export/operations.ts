export interface ExportedFile {
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly url: string;
}

export interface ExportResult {
  readonly remarks: readonly string[];
  /** As of now. */
  readonly card: string;
  readonly files: readonly ExportedFile[];
}

export type ExportEvent = { readonly __typename: "RunProgressed"; readonly progress: number } | { readonly __typename: "RunSucceeded" };

export const wanted = "... on RunProgressed { progress }";

export const startExport = /* GraphQL */ `
  mutation StartExport($input: StartExportInput!) {
    startExport(input: $input) {
      run {
        id
      }
    }
  }
`;

export const exportOfRun = /* GraphQL */ `
  query ExportOfRun($id: ID!) {
    run(id: $id) {
      ... on ExportRun {
        result {
          remarks
          card
          files {
            path
            sha256
            sizeBytes
            url
          }
        }
      }
    }
  }
`;
