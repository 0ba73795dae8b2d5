import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { Bundle, BundleError, ForewarnError, readFromMap } from "../src/index.js";
import { load } from "../src/node.js";
import { BUNDLE, bundleFiles } from "./helpers.js";

const open = (files: Map<string, Uint8Array>) => Bundle.open("test", readFromMap(files));
const bytes = (text: string) => new TextEncoder().encode(text);

/** The shipped bundle with a changed manifest. */
function withManifest(change: (manifest: any) => unknown): Map<string, Uint8Array> {
  const files = bundleFiles();
  const manifest = JSON.parse(new TextDecoder().decode(files.get("manifest.json")));
  const changed = change(manifest) ?? manifest;
  return files.set("manifest.json", bytes(typeof changed === "string" ? changed : JSON.stringify(changed)));
}

test("the shipped bundle opens, and gives its files", async () => {
  const files = bundleFiles();
  const bundle = await open(files);
  expect(bundle.read("model.onnx")).toBe(files.get("model.onnx"));
  expect(() => bundle.read("other.bin")).toThrow(BundleError);
});

const listed = [...bundleFiles().keys()].filter((name) => name !== "manifest.json");

test.each(listed)("one flipped bit in %s is refused, wherever it is", async (name) => {
  for (const place of [0, 0.5, 1]) {
    const files = bundleFiles();
    const data = files.get(name)!;
    const i = Math.floor(place * (data.length - 1));
    data[i]! ^= 1;
    await expect(open(files)).rejects.toThrow(`bundle test: ${name} is damaged`);
  }
});

test.each(listed)("a bundle without %s is refused", async (name) => {
  const files = bundleFiles();
  files.delete(name);
  await expect(open(files)).rejects.toThrow(`bundle test: ${name} is missing`);
});

describe("a foreign or broken manifest is refused in one line", () => {
  const changes: [string, (m: any) => unknown, string][] = [
    ["not JSON", () => "{", "is not JSON"],
    ["a list", () => "[]", "is not an object"],
    ["a newer format", (m) => void (m.format = 99), "upgrade @forewarn/client"],
    ["no format", (m) => void delete m.format, "none that is known"],
    ["format true", (m) => void (m.format = true), "none that is known"],
    ["no version", (m) => void delete m.version, "has no model version"],
    ["a max_length of 3", (m) => void (m.max_length = 3), "max_length"],
    ["temperature 0", (m) => void (m.calibration.temperature = 0), "temperature"],
    ["no calibration", (m) => void delete m.calibration, "temperature"],
    ["a bias of text", (m) => void (m.calibration.scam_bias = "0"), "scam_bias"],
    ["no operating points", (m) => void delete m.operating_points, "warn threshold"],
    ["no block threshold", (m) => void delete m.operating_points.block, "block threshold"],
    ["no files", (m) => void delete m.files, "lists no files"],
    ["no model", (m) => void delete m.files["model.onnx"], "does not list model.onnx"],
    ["a file elsewhere", (m) => void (m.files["../x"] = { sha256: "" }), "outside the bundle"],
    ["no sha256", (m) => void delete m.files["model.onnx"].sha256, "has no sha256 for model.onnx"],
    ["no labels", (m) => void delete m.labels, "taxonomy"],
    ["an unknown verdict", (m) => void m.labels.verdicts.push("other"), "unknown verdict"],
    ["a leaf of no verdict", (m) => void (m.labels.leaves[0].verdict = "other"), "no known verdict"],
    ["a leaf without levers", (m) => void delete m.labels.leaves[0].levers, "levers"],
    [
      "no scam leaf",
      (m) => void (m.labels.leaves = m.labels.leaves.filter((x: any) => x.verdict !== "scam")),
      "no labels for scam",
    ],
  ];
  test.each(changes)("%s", async (_, change, message) => {
    const error: Error = await open(withManifest(change)).then(
      () => expect.unreachable(),
      (e) => e,
    );
    expect(error).toBeInstanceOf(BundleError);
    expect(error.message).toContain(message);
    expect(error.message).not.toContain("\n");
  });
});

test("no bundle, or a file in its place, is refused", async () => {
  await expect(load(`${BUNDLE}/nowhere`)).rejects.toThrow("has no manifest.json; this is not a forewarn bundle");
  await expect(load(`${BUNDLE}/manifest.json`)).rejects.toThrow(BundleError);
  await expect(load(new Map())).rejects.toThrow(BundleError);
});

test("a model that cannot be run, with a sha256 that fits, is refused", async () => {
  const model = bytes("no model");
  const files = withManifest(
    (m) => void (m.files["model.onnx"].sha256 = createHash("sha256").update(model).digest("hex")),
  );
  await expect(load(files.set("model.onnx", model))).rejects.toThrow("model.onnx cannot be run");
  const { load: loadWeb } = await import("../src/web.js");
  await expect(loadWeb(files)).rejects.toThrow("model.onnx cannot be run");
});

test("labels other than the model's are refused", async () => {
  await expect(load(withManifest((m) => void m.labels.leaves.pop()))).rejects.toThrow("one logit for each");
});

test("what is no text is refused without a word of it", async () => {
  const classifier = await load(BUNDLE);
  await expect(classifier.score(["secret"] as unknown as string)).rejects.toThrow(
    /^a text is a string, not of type object$/,
  );
  await expect(classifier.score(undefined as unknown as string)).rejects.toThrow(ForewarnError);
  await expect(classifier.scoreBatch("secret" as unknown as string[])).rejects.toThrow("for one text use score");
  await expect(classifier.scoreBatch(["a", null as unknown as string])).rejects.toThrow(ForewarnError);
  expect(await classifier.scoreBatch([])).toEqual([]);
});
