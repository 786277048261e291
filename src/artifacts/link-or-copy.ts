import { copyFile, link } from "node:fs/promises";

/** What file systems without hard links give, and two of them. */
const withoutLinks: ReadonlySet<string | undefined> = new Set(["EPERM", "EXDEV", "ENOTSUP"]);

/** Whether that is why a file got no second name. */
export const cannotLink = ({ code }: NodeJS.ErrnoException): boolean => withoutLinks.has(code);

/** Gives a file a second name, or where that cannot be, copies it. */
export async function linkOrCopy(place: string, target: string): Promise<void> {
  await link(place, target).catch((error: NodeJS.ErrnoException) => {
    if (cannotLink(error)) return copyFile(place, target);
    throw error;
  });
}
