import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BundleError, ForewarnError } from "../src/index.js";
import * as node from "../src/node.js";
import { isSigned } from "../src/signature.js";
import * as web from "../src/web.js";
import { BUNDLE } from "./helpers.js";
import { filesIn, makeRelease, type Release } from "./release.js";

let release: Release;
let signed: string;
beforeAll(() => {
  release = makeRelease();
  signed = join(release.folder, "first");
});
afterAll(() => release.remove());

const refusal = (loading: Promise<unknown>): Promise<Error> =>
  loading.then(
    () => expect.unreachable(),
    (error) => error,
  );

test("a bundle that `forewarn bundle sign` signed opens with its key, on both runtimes", async () => {
  const { publicKey } = release;
  expect((await node.load(signed, { publicKey })).version).toBe(release.first);
  expect((await web.load(filesIn(signed), { publicKey })).version).toBe(release.first);
});

test("another key, no signature, and a cut or changed signature are refused", async () => {
  const { publicKey, otherKey } = release;
  const other = await refusal(node.load(signed, { publicKey: otherKey }));
  expect(other).toBeInstanceOf(BundleError);
  expect(other.message).toMatch(/is not signed with this key \(manifest\.sig does not fit manifest\.json\)/);
  expect((await refusal(node.load(BUNDLE, { publicKey }))).message).toMatch(/is not signed \(no manifest\.sig\)/);
  const signature = readFileSync(join(signed, "manifest.sig"));
  expect(signature.length).toBe(64);
  const changed = Buffer.from(signature);
  changed[40]! ^= 1;
  for (const wrong of [signature.subarray(1), Buffer.concat([signature, signature]), Buffer.alloc(0), changed]) {
    const files = filesIn(signed).set("manifest.sig", wrong);
    expect((await refusal(node.load(files, { publicKey }))).message).toMatch(/is not signed with this key/);
  }
});

test("a manifest that is valid and changed is refused: without a signature nobody would see it", async () => {
  const manifest = JSON.parse(readFileSync(join(signed, "manifest.json"), "utf8"));
  manifest.operating_points.warn.threshold = 0.99;
  const files = filesIn(signed).set("manifest.json", Buffer.from(JSON.stringify(manifest)));
  await node.load(files);
  expect((await refusal(node.load(files, { publicKey: release.publicKey }))).message).toMatch(/is not signed with/);
});

test.each(["", "abc", "A".repeat(44), `${"A".repeat(43)}= `, `${"A".repeat(42)}==`, `${"_".repeat(43)}=`])(
  "a key of %j is none",
  async (publicKey) => {
    const error = await refusal(node.load(signed, { publicKey }));
    expect(error).toBeInstanceOf(ForewarnError);
    expect(error.message).toMatch(/^the public key is not 32 bytes in base64/);
  },
);

test("the second test of RFC 8032 holds", async () => {
  const base64 = (hex: string): string => Buffer.from(hex, "hex").toString("base64");
  const key = base64("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  const signature = Buffer.from(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    "hex",
  );
  expect(await isSigned(Uint8Array.of(0x72), signature, key)).toBe(true);
  expect(await isSigned(Uint8Array.of(0x73), signature, key)).toBe(false);
});
