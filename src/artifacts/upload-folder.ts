import { join } from "node:path";

/** Where uploads lie in a data directory, each a folder named by its id. */
export const uploadsIn = (dataDirectory: string): string => join(dataDirectory, "uploads");

/** The folder of an upload: what has come of its i-th file is the file `i` there. */
export const folderOfUpload = (dataDirectory: string, id: string): string => join(uploadsIn(dataDirectory), id);
