/** Ed25519 signatures of a bundle's manifest, which holds the checksum of every other file (RFC 8032). */

import { webCrypto } from "./digest.js";
import { ForewarnError } from "./errors.js";

/** The file beside the manifest that holds its signature: 64 raw bytes. */
export const SIGNATURE = "manifest.sig";

/**
 * Whether a signature is the key's on exactly these bytes.
 *
 * @param publicKey - 32 bytes in base64, as `forewarn bundle keygen` prints it; pin it in what opens bundles.
 * @throws ForewarnError if the key is none, or if the browser has no Ed25519 (Chrome before 137, Firefox before 129,
 *   Safari before 17).
 */
export async function isSigned(data: Uint8Array, signature: Uint8Array, publicKey: string): Promise<boolean> {
  const key = decode(publicKey);
  // Node's Web Crypto would do, but in Node 20 it warns on standard error that its Ed25519 is experimental.
  const node = globalThis.process?.getBuiltinModule?.("node:crypto");
  if (node !== undefined) {
    const x = publicKey.replace("=", "").replaceAll("+", "-").replaceAll("/", "_");
    const imported = node.createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    return node.verify(null, data, imported, signature);
  }
  let imported: CryptoKey;
  try {
    imported = await webCrypto().importKey("raw", key, "Ed25519", false, ["verify"]);
  } catch (error) {
    if (error instanceof ForewarnError) throw error;
    if ((error as Error).name !== "NotSupportedError") return false; // 32 bytes that are no point of the curve
    throw new ForewarnError("this browser cannot check the bundle's signature (no Ed25519); use a newer one");
  }
  // As for a digest: TypeScript's types fear a SharedArrayBuffer.
  const [signed, bytes] = [signature, data] as Uint8Array<ArrayBuffer>[];
  return webCrypto().verify("Ed25519", imported, signed!, bytes!);
}

function decode(publicKey: string): Uint8Array<ArrayBuffer> {
  // 32 bytes are 43 digits and one sign of padding; atob alone would take white space, and no padding.
  if (typeof publicKey !== "string" || !/^[A-Za-z0-9+/]{43}=$/.test(publicKey)) {
    throw new ForewarnError("the public key is not 32 bytes in base64; give what `forewarn bundle keygen` printed");
  }
  return Uint8Array.from(atob(publicKey), (digit) => digit.charCodeAt(0));
}
