/**
 * Bringing an installed bundle to another version: what changed is fetched, and nothing replaced before it fits.
 *
 * A release folder, which any web server can hand out, is made by `forewarn bundle pack`; ../README.md describes it.
 */

import { Bundle, isFileName, MANIFEST, readFromMap } from "./bundle.js";
import { hexDigest } from "./digest.js";
import { BundleError, ForewarnError } from "./errors.js";

const INDEX = "index.json";
const INDEX_FORMAT = 1;
// A shipped bundle is at most 20 MB; the limit only keeps a hostile release from filling the memory.
const MAX_FILE_BYTES = 2 ** 30;
const MAX_INDEX_BYTES = 2 ** 24;
const NOTHING_REPLACED = "nothing was replaced, try again";
const DAMAGED = `a downloaded file is damaged; ${NOTHING_REPLACED}`;

/** The files of a bundle by name; none where there is no bundle. */
export type BundleFiles = ReadonlyMap<string, Uint8Array>;

/** Where an app keeps its bundle, and the one before it. `folderStore` and `browserStore` are two of them. */
export interface BundleStore {
  /** The files of the bundle that is installed, or of the one that it replaced. */
  read(which: "current" | "previous"): Promise<BundleFiles>;
  /** Put files in the place of the current bundle, which becomes the previous one: all of that or nothing. */
  replace(files: BundleFiles): Promise<void>;
  /** Let the current and the previous bundle change places: all of that or nothing. */
  swap(): Promise<void>;
}

/** What to bring a bundle to. */
export interface UpdateOptions {
  /** As in "2026.11.2"; by default the latest. */
  readonly version?: string;
  /** The Ed25519 key, in base64, that must have signed it; without one no signature is asked for. */
  readonly publicKey?: string;
}

/** What an update did. */
export interface Updated {
  /** The versions before, empty where there was none, and after. */
  readonly before: string;
  readonly after: string;
  /** Bytes fetched, the index aside, of how many the files are. */
  readonly fetched: number;
  readonly size: number;
  /** The checked files of the new version, for `load`. */
  readonly files: BundleFiles;
}

/** Gives the bytes of one path of a release, refusing more than a number of them. */
type Fetch = (path: string, mostBytes: number) => Promise<Uint8Array>;

interface FileEntry {
  readonly sha256: string;
  readonly bytes: number;
  readonly deltas: Readonly<Record<string, { readonly path: string }>>;
}

interface Index {
  readonly latest: string;
  readonly versions: Readonly<Record<string, { readonly files: Readonly<Record<string, FileEntry>> }>>;
}

/**
 * Bring the bundle of a store to a version; the one that was there is kept for `rollback`.
 *
 * Where the store holds that version already nothing is replaced, so that a daily call keeps the previous version.
 *
 * @param release - the address of the release folder, relative to the page or absolute.
 * @param store - where the bundle is kept; may be empty.
 * @throws ForewarnError if the version is unknown or something cannot be fetched; BundleError if what came is damaged
 *   or not signed with the key. The store is untouched then.
 */
export async function update(
  release: string | URL,
  store: BundleStore,
  options: UpdateOptions = {},
): Promise<Updated> {
  const fetch = fetchFrom(release);
  const { latest, versions } = parseIndex(await fetch(INDEX, MAX_INDEX_BYTES));
  const version = options.version ?? latest;
  if (!Object.hasOwn(versions, version)) {
    throw new ForewarnError(`the release has no version ${version}; it has ${Object.keys(versions).join(", ")}`);
  }
  const entries = Object.entries(versions[version]!.files);
  const current = await store.read("current");
  const sums = new Map<string, string>();
  for (const [name, data] of current) sums.set(name, await hexDigest(data));
  // Our own copies, by what they hold: a file may have another name in the other version.
  const local = new Map(Array.from(current, ([name, data]) => [sums.get(name)!, data]));

  const files = new Map<string, Uint8Array>();
  let fetched = 0;
  for (const [name, entry] of entries) {
    const { content, cost } = await bring(entry, local, fetch);
    files.set(name, content);
    fetched += cost;
  }
  const bundle = await Bundle.open("from the release", readFromMap(files), options.publicKey);
  if (bundle.manifest.version !== version) {
    throw new BundleError(`the release gives ${bundle.manifest.version} out as ${version}; use another release`);
  }
  const same = sums.size === entries.length && entries.every(([name, { sha256 }]) => sums.get(name) === sha256);
  if (!same) await store.replace(files);
  const size = entries.reduce((sum, [, { bytes }]) => sum + bytes, 0);
  return { before: versionOf(current), after: version, fetched, size, files };
}

/**
 * Put the version back that the last update replaced; what was there becomes the previous one.
 *
 * @param store - where the bundle is kept.
 * @param publicKey - the key that must have signed it; without one no signature is asked for.
 * @returns the version that is there now.
 * @throws ForewarnError if there is none; BundleError if it is damaged or not signed with the key. The store is
 *   untouched then.
 */
export async function rollback(store: BundleStore, publicKey?: string): Promise<string> {
  const previous = await store.read("previous");
  if (previous.size === 0) throw new ForewarnError("no previous version is kept; bring the bundle to one with update");
  const { manifest } = await Bundle.open("before this one", readFromMap(previous), publicKey);
  await store.swap();
  return manifest.version;
}

/** A file's content and the bytes that it cost: from our own copy, by a difference to one, or whole. */
async function bring(
  { sha256, bytes, deltas }: FileEntry,
  local: ReadonlyMap<string, Uint8Array>,
  fetch: Fetch,
): Promise<{ content: Uint8Array; cost: number }> {
  const own = local.get(sha256);
  if (own !== undefined) return { content: own, cost: 0 };
  for (const [oldSha256, { path }] of Object.entries(deltas)) {
    const old = local.get(oldSha256);
    if (old === undefined) continue;
    try {
      const packed = await fetch(path, mostPacked(bytes));
      const content = applyDifference(old, await inflate(packed, bytes));
      if ((await hexDigest(content)) === sha256) return { content, cost: packed.length };
    } catch (error) {
      // A difference that is damaged or gone is no reason to give up: the whole file is there too.
      if (!(error instanceof ForewarnError)) throw error;
    }
  }
  const packed = await fetch(`objects/${sha256}.z`, mostPacked(bytes));
  const content = await inflate(packed, bytes);
  if ((await hexDigest(content)) !== sha256) throw new BundleError(DAMAGED);
  return { content, cost: packed.length };
}

/** The new content: the old one, cut or filled with zeros to the same length, plus a change, byte by byte. */
export function applyDifference(old: Uint8Array, change: Uint8Array): Uint8Array {
  return change.map((byte, i) => byte + (old[i] ?? 0));
}

/**
 * Undo zlib's compression of exactly `size` bytes.
 *
 * @throws BundleError if it is something else, or longer.
 */
export async function inflate(packed: Uint8Array, size: number): Promise<Uint8Array> {
  let content: Uint8Array | undefined;
  try {
    const stream = new Blob([packed as Uint8Array<ArrayBuffer>]).stream();
    content = await collect(stream.pipeThrough(new DecompressionStream("deflate")), size);
  } catch {
    // Not what zlib made.
  }
  if (content?.length !== size) throw new BundleError(DAMAGED);
  return content;
}

/** No compression makes more of a file than this. */
function mostPacked(bytes: number): number {
  return bytes + (bytes >> 8) + 64;
}

/** The bytes of a stream, or undefined as soon as there are more than `most`. */
async function collect(stream: ReadableStream<Uint8Array>, most: number): Promise<Uint8Array | undefined> {
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > most) {
      await reader.cancel();
      return undefined;
    }
    chunks.push(value);
  }
  const content = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    content.set(chunk, at);
    at += chunk.length;
  }
  return content;
}

function fetchFrom(release: string | URL): Fetch {
  const folder = new URL(String(release).replace(/\/?$/, "/"), globalThis.location?.href);
  return async (path, mostBytes) => {
    const fail = (reason: string): never => {
      throw new ForewarnError(`${new URL(path, folder)} cannot be fetched (${reason}); ${NOTHING_REPLACED}`);
    };
    let content: Uint8Array | undefined;
    try {
      // Not kept: the store holds what is needed again, and a damaged answer must not come again from a cache.
      const response = await globalThis.fetch(new URL(path, folder), { cache: "no-store" });
      if (!response.ok) return fail(`HTTP ${response.status}`);
      if (response.body === null) return new Uint8Array();
      content = await collect(response.body, mostBytes);
    } catch (error) {
      if (error instanceof ForewarnError) throw error;
      return fail("check the address, the network and the server's CORS headers");
    }
    return content ?? fail("it is longer than the index says");
  };
}

/** The release's index, its shape checked. */
function parseIndex(bytes: Uint8Array): Index {
  let index: any;
  try {
    index = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (index.format === INDEX_FORMAT) {
      for (const { files } of Object.values<any>(index.versions)) {
        require(Object.hasOwn(files, MANIFEST) && Object.keys(files).every(isFileName));
        for (const { sha256, bytes: size, deltas } of Object.values<any>(files)) {
          require(/^[0-9a-f]{64}$/.test(sha256) && Number.isInteger(size) && size >= 0 && size <= MAX_FILE_BYTES);
          for (const { path } of Object.values<any>(deltas)) require(/^deltas\/[0-9a-f]+-[0-9a-f]+\.z$/.test(path));
        }
      }
      require(Object.hasOwn(index.versions, index.latest));
      return index as Index;
    }
    require(Number.isInteger(index.format));
  } catch {
    throw new BundleError(`${INDEX} is not a release's index; make it with \`forewarn bundle pack\``);
  }
  throw new BundleError(
    `${INDEX} has format ${index.format}, this version reads ${INDEX_FORMAT}; upgrade @forewarn/client`,
  );
}

function require(condition: boolean): void {
  if (!condition) throw new TypeError();
}

/** The version of the files of a bundle, which may be damaged; empty where it cannot be told. */
function versionOf(files: BundleFiles): string {
  try {
    return String(JSON.parse(new TextDecoder().decode(files.get(MANIFEST))).version);
  } catch {
    return "";
  }
}
