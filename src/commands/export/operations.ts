export interface ExportedFile {
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly url: string;
}

export interface RunState {
  readonly status: string;
  readonly progress: number;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly result: { readonly remarks: readonly string[]; readonly files: readonly ExportedFile[] } | null;
}

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
      status
      progress
      error {
        code
        message
      }
      ... on ExportRun {
        result {
          remarks
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
