/**
 * Says on a terminal what one waits for, while the work lasts. Nothing of it stays: what a command prints comes first in its output.
 *
 * @returns what the work returns
 */
export function passing(text, work) {
  const isSeen = process.stderr.isTTY;
  if (isSeen) process.stderr.write(text);
  try {
    return work();
  } finally {
    if (isSeen) process.stderr.write("\r\x1b[K");
  }
}
