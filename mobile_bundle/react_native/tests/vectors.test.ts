/** The built package on onnxruntime-node, with nothing that Hermes may lack. On Hermes itself: hermes.test.ts. */

import { createHash } from "node:crypto";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { BUNDLE, bundleFiles, bundleText, goldenTexts, NANO } from "../../web/tests/helpers.js";
import { files as expoFiles } from "../dist/expo.js";
import { files as fsFiles, readFromAssets } from "../dist/fs.js";
import { BundleError, checkVectors, load, readFromFolder, setSha256 } from "../dist/index.js";

beforeEach(() => {
  for (const name of ["crypto", "TextDecoder", "atob", "Blob", "DecompressionStream"]) vi.stubGlobal(name, undefined);
});
afterEach(() => {
  vi.unstubAllGlobals();
  setSha256(undefined);
});

const ways = {
  "a folder through react-native-fs": () => load(readFromFolder(fsFiles, BUNDLE)),
  "a folder through expo-file-system": () => load(readFromFolder(expoFiles, `${pathToFileURL(BUNDLE)}/`)),
  "an Android app's assets": () => load(readFromAssets("standard")),
  "memory": () => load(bundleFiles()),
  "memory, the model by its path": () => load(bundleFiles(), { modelPath: `${BUNDLE}/model.onnx` }),
  "nano's folder": () => load(readFromFolder(fsFiles, NANO)),
};

test.each(Object.entries(ways))("all golden vectors hold, from %s", async (way, open) => {
  const classifier = await open();
  const bundle = way.startsWith("nano") ? NANO : BUNDLE;
  const report = await checkVectors(classifier, bundleText("vectors.jsonl", bundle));
  expect(report.failures).toEqual([]);
  expect(report.count).toBe(goldenTexts(bundle).length);
  console.log(`worst logit ${report.worstLogit.toPrecision(2)}, worst risk ${report.worstRisk.toPrecision(2)}`);
  await classifier.release();
});

test("a model that is a part of a larger buffer is taken out of it", async () => {
  const files = bundleFiles();
  const model = files.get("model.onnx")!;
  const larger = new Uint8Array(model.length + 100);
  larger.set(model, 50);
  const classifier = await load(files.set("model.onnx", larger.subarray(50, 50 + model.length)));
  expect((await checkVectors(classifier, bundleText("vectors.jsonl"))).failures).toEqual([]);
});

test("it explains, in the reader's language, and minds the sender", async () => {
  const classifier = await load(bundleFiles());
  const text = "Your parcel is held. Pay the 1.99 fee today: post-redeliver.example/pay";
  const verdict = await classifier.score(text, { explain: true, locale: "de-AT", sender: "+6591234567" });
  expect(verdict.evidence!.length).toBeGreaterThan(0);
  for (const { start, end, text: part } of verdict.evidence!) expect(text.slice(start, end)).toBe(part);
  expect(verdict.forewarning).toMatch(/[a-z]/);
  expect(verdict.risk).toBeGreaterThan((await classifier.score(text)).risk);
});

test("what is no bundle, and a damaged one, are refused in one line", async () => {
  await expect(load(readFromFolder(fsFiles, `${BUNDLE}/none`))).rejects.toThrow(/^bundle of the app: has no manifest/);
  const files = bundleFiles();
  files.get("tokenizer.json")![1000]! ^= 1;
  await expect(load(files)).rejects.toThrow(/^bundle in memory: tokenizer\.json is damaged/);
  await expect(load(bundleFiles(), { modelPath: `${BUNDLE}/manifest.json` })).rejects.toThrow(
    new BundleError(
      "bundle in memory: model.onnx cannot be run; export it again or upgrade onnxruntime-react-native",
    ),
  );
});

test("a native SHA-256 checks every file, and is believed when one does not fit", async () => {
  let checked = 0;
  setSha256(async (data) => {
    checked++;
    return createHash("sha256").update(data).digest();
  });
  const files = bundleFiles();
  await (await load(files)).release();
  expect(checked).toBe(Object.keys(JSON.parse(bundleText("manifest.json")).files).length);
  files.get("model.onnx")![5_000_000]! ^= 1;
  await expect(load(files)).rejects.toThrow(/model\.onnx is damaged/);
});

test("an app's own Web Crypto is used where nothing else is set", async () => {
  const asked: string[] = [];
  const digest = async (algorithm: string, data: Uint8Array) => {
    asked.push(algorithm);
    return createHash("sha256").update(data).digest();
  };
  vi.stubGlobal("crypto", { subtle: { digest } });
  await (await load(bundleFiles())).release();
  expect(new Set(asked)).toEqual(new Set(["SHA-256"]));
});
