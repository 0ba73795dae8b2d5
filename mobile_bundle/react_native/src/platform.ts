/**
 * What the core takes from a browser and Hermes does not have. scripts/build.mjs binds the core's mentions of these
 * globals to what is here, so that an app's own globals stay as they are.
 */

import { fromBase64 } from "@exodus/bytes/base64.js";
import { utf8toString, utf8toStringLoose } from "@exodus/bytes/utf8.js";
import { ed25519 } from "@noble/curves/ed25519.js";
import { Unzlib } from "fflate";
import { sha256 } from "./sha256.js";

/** The app's own globals; under this name, since the build binds `globalThis.fetch` to this module. */
const app: Pick<typeof globalThis, "fetch"> = globalThis;

/** How much is inflated at once: no more than 1032 times this is held before the core can stop. */
const STEP = 16_384;

interface Reader {
  read(): Promise<{ done: boolean; value?: Uint8Array }>;
  cancel(): Promise<void>;
}

/** The part of a stream that the core reads. */
interface Source {
  getReader(): Reader;
}

/** UTF-8 alone, which is all that a bundle has. React Native has one since 0.85. */
export class TextDecoder {
  private readonly strict: boolean;

  constructor(_encoding = "utf-8", options: { fatal?: boolean } = {}) {
    this.strict = options.fatal ?? false;
  }

  decode(bytes: Uint8Array): string {
    return this.strict ? utf8toString(bytes) : utf8toStringLoose(bytes);
  }
}

/** Base64 to a string of bytes; React Native has one since 0.74. */
export function atob(digits: string): string {
  return String.fromCharCode(...fromBase64(digits));
}

/** SHA-256, and Ed25519 as RFC 8032 has it. */
export const crypto = {
  subtle: {
    digest: (_algorithm: "SHA-256", data: Uint8Array<ArrayBuffer>) => sha256(data),
    async importKey(_format: "raw", key: Uint8Array): Promise<Uint8Array> {
      return key;
    },
    async verify(_algorithm: "Ed25519", key: Uint8Array, signature: Uint8Array, data: Uint8Array): Promise<boolean> {
      return signature.length === 64 && ed25519.verify(signature, data, key, { zip215: false });
    },
  },
};

/** Bytes to be read through a DecompressionStream; React Native's Blob takes no bytes. */
export class Blob {
  constructor(private readonly parts: [Uint8Array]) {}

  stream(): { pipeThrough(through: DecompressionStream): Source } {
    return { pipeThrough: (through) => through.readable(this.parts[0]) };
  }
}

/** Undoes zlib's compression ("deflate" is its name on the web), a step at a time. */
export class DecompressionStream {
  constructor(_format: "deflate") {}

  readable(packed: Uint8Array): Source {
    const ready: Uint8Array[] = [];
    const unzlib = new Unzlib((chunk) => ready.push(chunk));
    let at = 0;
    const read = async (): Promise<{ done: boolean; value?: Uint8Array }> => {
      while (ready.length === 0 && at < packed.length) {
        unzlib.push(packed.subarray(at, at + STEP), at + STEP >= packed.length);
        at += STEP;
      }
      const value = ready.shift();
      return value === undefined ? { done: true } : { done: false, value };
    };
    return { getReader: () => ({ read, cancel: async () => {} }) };
  }
}

/** The app's fetch, with a body to read: React Native's own gives the whole answer at once and no stream of it. */
export async function fetch(
  url: URL,
  options: RequestInit,
): Promise<{ ok: boolean; status: number; body: Source | null }> {
  const response = await app.fetch(String(url), options);
  const { ok, status } = response;
  if (!ok || response.body) return { ok, status, body: response.body as Source | null };
  const chunks = [new Uint8Array(await response.arrayBuffer())];
  const read = async (): Promise<{ done: boolean; value?: Uint8Array }> => {
    const value = chunks.shift();
    return value === undefined ? { done: true } : { done: false, value };
  };
  return { ok, status, body: { getReader: () => ({ read, cancel: async () => {} }) } };
}
