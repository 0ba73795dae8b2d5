/** Releases that `forewarn bundle pack` makes, over HTTP into a folder. The same in a browser: browser.test.ts. */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BundleError, ForewarnError, rollback, update, type BundleStore } from "../src/index.js";
import { folderStore, load } from "../src/node.js";
import { applyDifference, inflate } from "../src/update.js";
import { filesIn, makeRelease, serveRelease, sums, type Release } from "./release.js";

let release: Release;
let server: Awaited<ReturnType<typeof serveRelease>>;
let address: string;
let asked: string[];
/** What the server gives out instead of a path's file. */
let changed: Map<string, (content: Buffer) => Buffer | undefined>;

let apps = 0;
let installed: string;
let store: BundleStore;

beforeAll(async () => {
  release = makeRelease();
  server = await serveRelease(release, (path, content) => {
    asked.push(path);
    for (const [part, change] of changed) if (content && path.includes(part)) content = change(content);
    return content;
  });
  address = server.address;
});
afterAll(() => {
  server.close();
  release.remove();
});

beforeEach(() => {
  asked = [];
  changed = new Map();
  installed = join(release.folder, `app${++apps}`, "bundle");
  store = folderStore(installed);
});
afterEach(() => rmSync(join(installed, ".."), { recursive: true, force: true }));

const version = (name: "first" | "second") => sums(join(release.folder, name));
const flip = (content: Buffer): Buffer => {
  content[content.length >> 1]! ^= 0x10;
  return content;
};
const index = (change: (index: any, files: any) => unknown) => (content: Buffer) => {
  const index = JSON.parse(content.toString());
  change(index, index.versions[release.second].files);
  return Buffer.from(JSON.stringify(index));
};

test("an update fetches what changed and gives the bytes that were packed", async () => {
  const { publicKey, first, second } = release;
  const done = await update(address, store, { version: first, publicKey });
  expect(done).toMatchObject({ before: "", after: first });
  expect(sums(installed)).toEqual(version("first"));
  expect(asked).toHaveLength(1 + Object.keys(version("first")).length);

  asked = [];
  const next = await update(`${address}/`, store, { publicKey });
  expect(next).toMatchObject({ before: first, after: second });
  expect(sums(installed)).toEqual(version("second"));
  expect(sums(next.files)).toEqual(version("second"));
  const names = Object.keys(version("second")).filter((name) => version("first")[name] !== version("second")[name]);
  expect(names).toEqual(["forewarnings.json", "manifest.json", "manifest.sig", "model.onnx"]);
  expect(asked).toHaveLength(1 + names.length); // the index, and one for each
  expect(asked.some((path) => path.startsWith("deltas/"))).toBe(true);
  expect(next.fetched).toBeLessThan(100_000);
  expect(next.size).toBe([...filesIn(installed).values()].reduce((sum, data) => sum + data.length, 0));
  console.log(`first download ${done.fetched} of ${done.size} bytes; one weight and one forewarning: ${next.fetched}`);

  const classifier = await load(next.files, { publicKey });
  const verdict = await classifier.score("Your parcel is held. Pay the 1.99 fee today: post-redeliver.example/pay", {
    explain: true,
  });
  expect(verdict).toMatchObject({ model: second, forewarning: "Couriers do not ask for a fee by text." });
});

test("rollback puts the old version back and forth, and a call for what is there replaces nothing", async () => {
  const { first, second } = release;
  await expect(rollback(store)).rejects.toThrow("no previous version is kept");
  await update(address, store, { version: first });
  await update(address, store);
  expect((await update(address, store)).fetched).toBe(0);
  expect(await rollback(store, release.publicKey)).toBe(first);
  expect(sums(installed)).toEqual(version("first"));
  await expect(rollback(store, release.otherKey)).rejects.toThrow("is not signed with this key");
  expect(await rollback(store)).toBe(second);
  expect(sums(installed)).toEqual(version("second"));
  expect(readdirSync(join(installed, "..")).sort()).toEqual(["bundle", "bundle.previous"]);
});

test("a damaged previous version is not put back", async () => {
  await update(address, store, { version: release.first });
  await update(address, store);
  writeFileSync(join(`${installed}.previous`, "model.onnx"), "damaged");
  await expect(rollback(store)).rejects.toThrow(BundleError);
  expect(sums(installed)).toEqual(version("second"));
});

test("a damaged or missing difference is no reason to give up", async () => {
  for (const change of [flip, () => undefined, () => deflateSync(Buffer.alloc(10))]) {
    await update(address, store, { version: release.first });
    changed.set("deltas/", change);
    await update(address, store);
    expect(sums(installed)).toEqual(version("second"));
    changed.clear();
  }
});

describe("what is refused replaces nothing, and leaves nothing behind", () => {
  const MODEL = "model.onnx";
  const cases: [string, string, (content: Buffer) => Buffer | undefined, RegExp][] = [
    ["a flipped byte", "objects/", flip, /^a downloaded file is damaged/],
    ["a file cut short", "objects/", (content) => content.subarray(0, -9), /^a downloaded file is damaged/],
    ["a file that is longer", "objects/", () => deflateSync(Buffer.alloc(1 << 22)), /^a downloaded file is damaged/],
    ["an answer without end", "objects/", () => Buffer.alloc(20_000_000), /longer than the index says/],
    ["a missing file", "objects/", () => undefined, /cannot be fetched \(HTTP 404\)/],
    ["no index", "index.json", () => undefined, /index\.json cannot be fetched/],
    ["an index of something else", "index.json", () => Buffer.from("[]"), /not a release's index/],
    ["a newer index", "index.json", index((i) => (i.format = 2)), /has format 2.*upgrade @forewarn\/client/],
    ["an unknown latest", "index.json", index((i) => (i.latest = "1")), /not a release's index/],
    ["a latest from Object", "index.json", index((i) => (i.latest = "constructor")), /not a release's index/],
    ["no manifest", "index.json", index((_, files) => delete files["manifest.json"]), /not a release's index/],
    ["a strange checksum", "index.json", index((_, files) => (files[MODEL].sha256 = "../x")), /not a release's/],
    ["a huge file", "index.json", index((_, files) => (files[MODEL].bytes = 2 ** 40)), /not a release's/],
    ["a path elsewhere", "index.json", index((_, f) => (f[MODEL].deltas = { a: { path: "../x" } })), /not a release/],
    ["a file elsewhere", "index.json", index((_, files) => (files["../x"] = files[MODEL])), /not a release's/],
    ["a file too few", "index.json", index((_, files) => delete files[MODEL]), /model\.onnx is missing/],
    ["files under the wrong names", "index.json", index((_, f) => (f[MODEL] = f["tokenizer.json"])), /is damaged/],
    [
      "an old version as a new one",
      "index.json",
      index((i) => (i.versions[release.second] = i.versions[release.first])),
      /the release gives .* out as/,
    ],
  ];
  test.each(cases)("%s", async (_, path, change, message) => {
    await update(address, store, { version: release.first });
    changed.set(path, change);
    if (path === "objects/") changed.set("deltas/", () => undefined);
    const error = await update(address, store, { publicKey: release.publicKey }).then(
      () => expect.unreachable(),
      (error: Error) => error,
    );
    expect(error).toBeInstanceOf(ForewarnError);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain("\n");
    expect(sums(installed)).toEqual(version("first"));
    expect(readdirSync(join(installed, ".."))).toEqual(["bundle"]);
  });
});

test("another key, an unknown version and a server that is not there are refused", async () => {
  await expect(update(address, store, { publicKey: release.otherKey })).rejects.toThrow("is not signed with this key");
  await expect(update(address, store, { version: "1" })).rejects.toThrow(
    `the release has no version 1; it has ${release.first}, ${release.second}`,
  );
  await expect(update("http://127.0.0.1:9", store)).rejects.toThrow("index.json cannot be fetched (check");
  expect(existsSync(installed)).toBe(false);
});

test("a folder of something else is left alone", async () => {
  mkdirSync(installed, { recursive: true });
  writeFileSync(join(installed, "chapter.txt"), "mine");
  await expect(update(address, store)).rejects.toThrow("exists and is not a bundle");
  expect(readFileSync(join(installed, "chapter.txt"), "utf8")).toBe("mine");
});

test("a process that is killed between two renames leaves the version that was there", async () => {
  await update(address, store, { version: release.first });
  renameSync(installed, `${installed}.previous`);
  expect((await load(await store.read("current"))).version).toBe(release.first);
  expect(sums(installed)).toEqual(version("first"));
});

test("a folder that cannot be written keeps what it has", async () => {
  await update(address, store, { version: release.first });
  const files = new Map([["no/such", Buffer.from("x")]]);
  await expect(store.replace(files)).rejects.toThrow();
  expect(sums(installed)).toEqual(version("first"));
  expect(readdirSync(join(installed, ".."))).toEqual(["bundle"]);
  await expect(store.swap()).rejects.toThrow();
  expect(sums(installed)).toEqual(version("first"));
});

test("a damaged file is fetched again", async () => {
  await update(address, store);
  writeFileSync(join(installed, "tokenizer.json"), "damaged");
  await update(address, store);
  expect(sums(installed)).toEqual(version("second"));
});

test("a folder that Python installed is updated, and rolled back", async () => {
  cpSync(join(release.folder, "first"), installed, { recursive: true });
  expect((await update(address, store)).before).toBe(release.first);
  expect(await rollback(store)).toBe(release.first);
});

test("a difference is added byte by byte, to as much of the old content as the new one has", async () => {
  const change = Uint8Array.of(1, 255, 3, 4);
  expect([...applyDifference(Uint8Array.of(1, 2, 254), change)]).toEqual([2, 1, 1, 4]);
  expect([...applyDifference(Uint8Array.of(1, 2, 3, 4, 5), change)]).toEqual([2, 1, 6, 8]);
  expect([...applyDifference(new Uint8Array(), new Uint8Array())]).toEqual([]);
});

test("only the right size is inflated", async () => {
  const content = Buffer.from("forewarn ".repeat(50));
  expect(Buffer.from(await inflate(deflateSync(content), content.length))).toEqual(content);
  for (const size of [0, content.length - 1, content.length + 1]) {
    await expect(inflate(deflateSync(content), size)).rejects.toThrow(BundleError);
  }
  expect(await inflate(deflateSync(Buffer.alloc(0)), 0)).toHaveLength(0);
});
