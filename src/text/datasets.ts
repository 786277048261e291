/** Which texts to use: a built-in dataset by name, or the caller's own documents. */
export type DatasetRequest = { readonly name: string } | { readonly texts: readonly string[] };
