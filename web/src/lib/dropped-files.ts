/** A file with its path in the folder that it came in. */
export interface Found {
  readonly path: string;
  readonly file: File;
}

/** The files of what was dropped, of folders in it too. To be called while the event lasts. */
export async function droppedFiles(transfer: DataTransfer): Promise<Found[]> {
  const entries = [...transfer.items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  // What is dropped from another page, say, lies in no folder.
  if (entries.length === 0) return trimmed([...transfer.files].map((file) => ({ path: file.name, file })));
  return trimmed((await Promise.all(entries.map((entry) => filesOf(entry)))).flat());
}

async function filesOf(entry: FileSystemEntry): Promise<Found[]> {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ path, file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const children: FileSystemEntry[] = [];
  // A reader gives a hundred or so at a time, and at last none.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break;
    children.push(...some);
  }
  return (await Promise.all(children.map((child) => filesOf(child)))).flat();
}

/** The files that were chosen with a file dialog. */
export const chosenFiles = (list: FileList): Found[] =>
  trimmed([...list].map((file) => ({ path: file.webkitRelativePath || file.name, file })));

/** Paths from within the folder that all lie in, without what folders of a version control hold. */
function trimmed(found: readonly Found[]): Found[] {
  const wanted = found.filter(({ path }) => !/(?:^|\/)(?:\.git|\.cache|__pycache__)\//.test(path) && !/(?:^|\/)\.DS_Store$/.test(path));
  const [first] = wanted[0]?.path.split("/", 1) ?? [];
  const share = wanted.every(({ path }) => path.startsWith(`${first}/`));
  return wanted.map(({ path, file }) => ({ path: share ? path.slice((first as string).length + 1) : path, file }));
}
