/** The client on onnxruntime-react-native. The core is `@forewarn/client`'s. */

import {
  Bundle,
  BundleError,
  ForewarnError,
  readFromMap,
  ScamClassifier,
  type BundleFiles,
  type ReadFile,
} from "@forewarn/client";
import { reactNativeRuntime } from "./runtime.js";

export * from "@forewarn/client";
export { folderStore, readFromFolder, type Files } from "./files.js";
export { setSha256, type Sha256 } from "./sha256.js";

/** Settings of `load`. */
export interface LoadOptions {
  /** The Ed25519 key, in base64, that must have signed the bundle; without one no signature is asked for. */
  readonly publicKey?: string;
  /**
   * Path or `file:` URI of the bundle's model.onnx, for the runtime to read it itself. It then keeps to one core, which
   * is fastest for messages this short; but it may read another model than was checked, if somebody swaps the file in
   * between. Without it the runtime gets the checked bytes, and uses as many cores as it likes.
   */
  readonly modelPath?: string;
}

/**
 * Open a bundle and make it ready to score.
 *
 * @param source - gives the bytes of a bundle's file (`readFromFolder`, `readFromAssets`), or the files by name.
 * @throws BundleError if there is no bundle, or a damaged, foreign or unsigned one, or one that the runtime cannot run.
 */
export async function load(source: ReadFile | BundleFiles, options: LoadOptions = {}): Promise<ScamClassifier> {
  const bundle =
    typeof source === "function"
      ? await Bundle.open("of the app", source, options.publicKey)
      : await Bundle.open("in memory", readFromMap(source), options.publicKey);
  try {
    return await ScamClassifier.create(bundle, reactNativeRuntime(options.modelPath), { intraOpNumThreads: 1 });
  } catch (error) {
    if (error instanceof ForewarnError) throw error;
    throw new BundleError(
      `bundle ${bundle.where}: model.onnx cannot be run; export it again or upgrade onnxruntime-react-native`,
    );
  }
}
