/** A promise that may be refused before anybody waits for it, or without anybody ever doing so: Node would end the process for that. */
export function heard<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
