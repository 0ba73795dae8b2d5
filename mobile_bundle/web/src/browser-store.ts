/** Keeping a bundle in the browser, in IndexedDB: one transaction replaces all files of a bundle, or none. */

import { ForewarnError } from "./errors.js";
import type { BundleFiles, BundleStore } from "./update.js";

const BUNDLES = "bundles";

/**
 * A bundle that is kept in the browser. It stays when the page closes; ask for `navigator.storage.persist()` if the
 * browser must not clear it when the disk is full.
 *
 * @param name - of the database; another name is another bundle.
 */
export function browserStore(name = "forewarn"): BundleStore {
  return {
    read: (which) => transact(name, "readonly", (bundles, done) => get(bundles, which, done)),
    replace: (files) =>
      transact(name, "readwrite", (bundles) =>
        get(bundles, "current", (current) => {
          if (current.size > 0) bundles.put(current, "previous");
          bundles.put(new Map(files), "current");
        }),
      ),
    swap: () =>
      transact(name, "readwrite", (bundles) =>
        get(bundles, "current", (current) =>
          get(bundles, "previous", (previous) => {
            bundles.put(previous, "current");
            bundles.put(current, "previous");
          }),
        ),
      ),
  };
}

function get(bundles: IDBObjectStore, which: string, then: (files: BundleFiles) => void): void {
  const request: IDBRequest<BundleFiles | undefined> = bundles.get(which);
  request.onsuccess = () => then(request.result ?? new Map());
}

/** Run requests in one transaction; gives what they handed to `done` once all of it is on the disk. */
async function transact<T = void>(
  name: string,
  mode: IDBTransactionMode,
  ask: (bundles: IDBObjectStore, done: (result: T) => void) => void,
): Promise<T> {
  try {
    const database = await open(name);
    try {
      return await new Promise<T>((resolve, reject) => {
        const transaction = database.transaction(BUNDLES, mode, { durability: "strict" });
        let result: T;
        transaction.oncomplete = () => resolve(result);
        transaction.onabort = () => reject(transaction.error);
        ask(transaction.objectStore(BUNDLES), (value) => (result = value));
      });
    } finally {
      database.close();
    }
  } catch (error) {
    const reason = error instanceof DOMException ? error.name : "no IndexedDB";
    throw new ForewarnError(`the browser's storage cannot be used (${reason}); check its room and its permissions`);
  }
}

function open(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(BUNDLES);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
