/**
 * What a process of ours that is not Node's main one gets to see of the environment: what systems, ONNX Runtime, CUDA and PostgreSQL
 * need to run. Whatever else is there may be a secret: addresses with passwords, keys, tokens.
 */
const names = new Set([
  ...["PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP", "XDG_CACHE_HOME"],
  ...["LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"],
  ...["NODE_ENV", "NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "NODE_V8_COVERAGE"],
  ...["NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_TF32_OVERRIDE"],
  ...["AWS_REGION", "AWS_DEFAULT_REGION"],
  // Windows, whose names are in any case.
  ...["SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES"],
  ...["NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE"],
]);
const families = /^(LC|CUDA|CUDNN|ORT|OMP|KMP|MALLOC)_/;

/** What is set where the environment says nothing. */
const defaults = {
  // Products in float32 on CUDA keep their bits, so that they agree with the CPU's.
  NVIDIA_TF32_OVERRIDE: "0",
  // glibc gives freed blocks back to the system from this size on, and no longer raises the limit as it meets larger ones (mallopt(3)):
  // exporting 4.3 GB holds 190 MB in place of 330, at no cost in time.
  MALLOC_TRIM_THRESHOLD_: "131072",
};

export function childEnvironment(environment: Readonly<NodeJS.ProcessEnv> = process.env): NodeJS.ProcessEnv {
  const passed = Object.entries(environment).filter(([name]) => names.has(name.toUpperCase()) || families.test(name));
  return { ...defaults, ...Object.fromEntries(passed) };
}
