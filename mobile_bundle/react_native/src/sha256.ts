import { sha256 as inJavaScript } from "@noble/hashes/sha2.js";

/** Gives the SHA-256 of some bytes. */
export type Sha256 = (data: Uint8Array<ArrayBuffer>) => Promise<ArrayBuffer | Uint8Array>;

let native: Sha256 | undefined;

/**
 * Have SHA-256 done by a native library, which makes `load` and `update` much faster.
 *
 * @param digest - the library's; undefined goes back to the app's Web Crypto, or to JavaScript where it has none.
 */
export function setSha256(digest: Sha256 | undefined): void {
  native = digest;
}

/** SHA-256 by what there is. */
export const sha256: Sha256 = async (data) => {
  // Under another name, since the build binds `globalThis.crypto` to what stands in for it.
  const app: Partial<Pick<typeof globalThis, "crypto">> = globalThis;
  return native?.(data) ?? app.crypto?.subtle?.digest?.("SHA-256", data) ?? inJavaScript(data);
};
