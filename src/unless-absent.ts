/** For `catch`: null where there is no such file or folder; any other error is thrown. */
export const unlessAbsent = (error: NodeJS.ErrnoException): null => {
  if (error.code === "ENOENT") return null;
  throw error;
};
