/** The client on onnxruntime-web: browsers, workers, extensions. One thread, so no special headers are needed. */

import * as onnx from "onnxruntime-web/wasm";
import { Bundle, readFromMap, type ReadFile } from "./bundle.js";
import { ScamClassifier } from "./classifier.js";
import { BundleError, ForewarnError } from "./errors.js";

export { browserStore } from "./browser-store.js";
export * from "./index.js";

/** Settings of `load`. */
export interface LoadOptions {
  /** Where ort-wasm-simd-threaded.wasm is hosted, if not beside the script. */
  readonly wasm?: string | URL;
  /** The Ed25519 key, in base64, that must have signed the bundle; without one no signature is asked for. */
  readonly publicKey?: string;
}

/**
 * Open a bundle and make it ready to score. After this nothing is fetched any more.
 *
 * @param source - the URL of the bundle's folder, relative to the page or absolute, or the bundle's files by name.
 * @throws BundleError if it is damaged, foreign, or not signed with the key; ForewarnError if a file cannot be fetched.
 */
export async function load(
  source: string | URL | ReadonlyMap<string, Uint8Array>,
  options: LoadOptions = {},
): Promise<ScamClassifier> {
  const bundle = isMap(source)
    ? await Bundle.open("in memory", readFromMap(source), options.publicKey)
    : await Bundle.open(String(source), fetchFrom(source), options.publicKey);
  onnx.env.wasm.numThreads = 1;
  if (options.wasm !== undefined) onnx.env.wasm.wasmPaths = { wasm: new URL(options.wasm, globalThis.location?.href) };
  try {
    return await ScamClassifier.create(bundle, onnx, { executionProviders: ["wasm"] });
  } catch (error) {
    if (error instanceof ForewarnError) throw error;
    const reason = firstLine(error);
    // ONNX Runtime loads its WebAssembly when the first session is made, and says so in these words when that fails.
    if (reason.includes("no available backend")) {
      throw new ForewarnError(
        `the WebAssembly file cannot be loaded (${reason}); ` +
          "host ort-wasm-simd-threaded.wasm beside the script, or say where it is: load(source, { wasm })",
      );
    }
    throw new BundleError(
      `bundle ${bundle.where}: model.onnx cannot be run (${reason}); export it again or upgrade onnxruntime-web`,
    );
  }
}

function isMap(source: object | string): source is ReadonlyMap<string, Uint8Array> {
  return typeof source === "object" && !(source instanceof URL);
}

function fetchFrom(base: string | URL): ReadFile {
  const folder = new URL(String(base).replace(/\/?$/, "/"), globalThis.location?.href);
  return async (name) => {
    const url = new URL(encodeURIComponent(name), folder);
    let response: Response;
    try {
      response = await fetch(url);
    } catch {
      throw new ForewarnError(`${url} cannot be fetched; check the address, the network and the server's CORS headers`);
    }
    if (response.status === 404) return undefined;
    if (!response.ok) throw new ForewarnError(`${url} cannot be fetched (HTTP ${response.status}); check the server`);
    return new Uint8Array(await response.arrayBuffer());
  };
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n")[0]!;
}
