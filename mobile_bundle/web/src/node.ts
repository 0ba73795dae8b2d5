/** The client on onnxruntime-node. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Bundle, readFromMap, type ReadFile } from "./bundle.js";
import { ScamClassifier } from "./classifier.js";
import { BundleError, ForewarnError } from "./errors.js";

export { folderStore } from "./folder-store.js";
export * from "./index.js";

/** Settings of `load`. */
export interface LoadOptions {
  /** Cores that one message may use; by default one, which is fastest for messages this short. */
  readonly threads?: number;
  /** The Ed25519 key, in base64, that must have signed the bundle; without one no signature is asked for. */
  readonly publicKey?: string;
}

/**
 * Open a bundle and make it ready to score.
 *
 * @param source - the bundle's folder, as a path or a file: URL, or the bundle's files by name.
 * @throws BundleError if there is none, or a damaged, foreign or unsigned one; ForewarnError if onnxruntime-node is
 *   missing.
 */
export async function load(
  source: string | URL | ReadonlyMap<string, Uint8Array>,
  options: LoadOptions = {},
): Promise<ScamClassifier> {
  const bundle = await open(source, options.publicKey);
  // ONNX Runtime's official builds send usage events and a device's id to their maker unless they find this variable
  // while they are loaded.
  process.env.ORT_DISABLE_TELEMETRY ??= "1";
  const onnx = await import("onnxruntime-node").catch(() => {
    throw new ForewarnError("onnxruntime-node cannot be loaded; run: npm install onnxruntime-node");
  });
  try {
    return await ScamClassifier.create(bundle, onnx, { intraOpNumThreads: options.threads ?? 1 });
  } catch (error) {
    if (error instanceof ForewarnError) throw error;
    throw new BundleError(
      `bundle ${bundle.where}: model.onnx cannot be run; export it again or upgrade onnxruntime-node`,
    );
  }
}

function open(source: string | URL | ReadonlyMap<string, Uint8Array>, publicKey: string | undefined): Promise<Bundle> {
  if (typeof source === "string") return Bundle.open(source, readFrom(source), publicKey);
  if (source instanceof URL) return open(fileURLToPath(source), publicKey);
  return Bundle.open("in memory", readFromMap(source), publicKey);
}

function readFrom(folder: string): ReadFile {
  return async (name) => {
    try {
      return await readFile(join(folder, name));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR") return undefined;
      throw new BundleError(`bundle ${folder}: ${name} cannot be read (${code}); check its permissions`);
    }
  };
}
