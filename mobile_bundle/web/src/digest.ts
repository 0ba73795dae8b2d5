import { ForewarnError } from "./errors.js";

/**
 * Web Crypto, which browsers give to secure pages alone.
 *
 * @throws ForewarnError if there is none here.
 */
export function webCrypto(): SubtleCrypto {
  const { subtle } = globalThis.crypto ?? {};
  if (subtle === undefined) {
    throw new ForewarnError("no Web Crypto to check the bundle with; serve the page over https or from localhost");
  }
  return subtle;
}

/** The sha256 of some bytes, as manifests write it. */
export async function hexDigest(data: Uint8Array): Promise<string> {
  // TypeScript's types fear a SharedArrayBuffer here; Web Crypto refuses one by itself.
  const digest = await webCrypto().digest("SHA-256", data as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
