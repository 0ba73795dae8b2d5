/** Releases that `forewarn bundle pack` makes, over HTTP, into folders, with a fetch as React Native has it. */

import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { filesIn, makeRelease, serveRelease, sums, type Release } from "../../web/tests/release.js";
import { files as expoFiles } from "../dist/expo.js";
import { files as fsFiles } from "../dist/fs.js";
import { folderStore, load, rollback, update, type BundleStore } from "../dist/index.js";

let release: Release;
let server: Awaited<ReturnType<typeof serveRelease>>;
let address: string;
/** What the server does to a file before it gives it out. */
let changed: (path: string, content: Buffer) => Buffer;

beforeAll(async () => {
  release = makeRelease();
  server = await serveRelease(release, (path, content) => content && changed(path, content));
  address = server.address;
});
afterAll(() => {
  server.close();
  release.remove();
});

let folder: string;
/** Without a stream, and without Node's own fetch, which needs what is taken away below. */
const reactNativeFetch = async (url: string) => {
  const [answer] = (await once(get(url), "response")) as [IncomingMessage];
  const content = Buffer.concat(await answer.toArray());
  const arrayBuffer = async () => content.buffer.slice(content.byteOffset, content.byteOffset + content.length);
  return { ok: answer.statusCode === 200, status: answer.statusCode, arrayBuffer };
};
beforeEach(() => {
  changed = (_path, content) => content;
  folder = mkdtempSync(join(tmpdir(), "forewarn-app-"));
  for (const name of ["crypto", "TextDecoder", "atob", "Blob", "DecompressionStream"]) vi.stubGlobal(name, undefined);
  vi.stubGlobal("fetch", reactNativeFetch);
});
afterEach(() => {
  vi.unstubAllGlobals();
  rmSync(folder, { recursive: true, force: true });
});

const packed = (name: "first" | "second") => sums(join(release.folder, name));
const stores: Record<string, () => BundleStore> = {
  "react-native-fs": () => folderStore(fsFiles, join(folder, "bundle")),
  "expo-file-system": () => folderStore(expoFiles, pathToFileURL(join(folder, "bundle")).href),
};

describe.each(Object.entries(stores))("kept through %s", (_name, open) => {
  test("an update brings what was packed and keeps the version before for a rollback", async () => {
    const store = open();
    const { publicKey, first, second } = release;
    expect(await update(address, store, { version: first, publicKey })).toMatchObject({ before: "", after: first });
    const done = await update(address, store, { publicKey });
    expect(done).toMatchObject({ before: first, after: second });
    expect(done.fetched).toBeLessThan(done.size / 50);
    expect(sums(join(folder, "bundle"))).toEqual(packed("second"));
    expect(sums(join(folder, "bundle.previous"))).toEqual(packed("first"));

    expect((await load(await store.read("current"), { publicKey })).version).toBe(second);
    expect(await rollback(store, publicKey)).toBe(first);
    expect(sums(join(folder, "bundle"))).toEqual(packed("first"));
  });

  test("an app that was killed between two renames finds its old version again", async () => {
    const store = open();
    await update(address, store, { version: release.first });
    renameSync(join(folder, "bundle"), join(folder, "bundle.previous"));
    expect(sums(await store.read("current"))).toEqual(packed("first"));
  });
});

test("damage on the way, another key and an unknown server replace nothing", async () => {
  const store = stores["react-native-fs"]!();
  const { publicKey, otherKey, first } = release;
  await update(address, store, { version: first, publicKey });
  changed = (path, content) => (path.endsWith(".z") ? content.fill(7, 40, 60) : content);
  await expect(update(address, store)).rejects.toThrow(/^a downloaded file is damaged; nothing was replaced/);
  changed = (path, content) => (path.endsWith(".z") ? content.subarray(0, content.length >> 1) : content);
  await expect(update(address, store)).rejects.toThrow(/^a downloaded file is damaged; nothing was replaced/);
  changed = (_path, content) => content;
  await expect(update(address, store, { publicKey: otherKey })).rejects.toThrow(/is not signed with this key/);
  await expect(update(`${address}/none`, store)).rejects.toThrow(/cannot be fetched \(HTTP 404\)/);
  expect(sums(join(folder, "bundle"))).toEqual(packed("first"));
});

test("a signature is checked without Web Crypto: another key, a cut and a changed one are refused", async () => {
  const { publicKey, otherKey, first } = release;
  const files = (): Map<string, Uint8Array> => filesIn(join(release.folder, "first"));
  expect((await load(files(), { publicKey })).version).toBe(first);
  const refused = /is not signed with this key/;
  await expect(load(files(), { publicKey: otherKey })).rejects.toThrow(refused);
  // 32 bytes that are no point of the curve
  const noPoint = Buffer.alloc(32, 0xff).toString("base64");
  await expect(load(files(), { publicKey: noPoint })).rejects.toThrow(refused);
  await expect(load(files(), { publicKey: "short" })).rejects.toThrow(/^the public key is not 32 bytes in base64/);
  const signature = files().get("manifest.sig")!;
  const flipped = Uint8Array.from(signature, (byte, i) => (i === 40 ? byte ^ 1 : byte));
  for (const wrong of [signature.subarray(1), new Uint8Array(), flipped]) {
    await expect(load(files().set("manifest.sig", wrong), { publicKey })).rejects.toThrow(refused);
  }
});
