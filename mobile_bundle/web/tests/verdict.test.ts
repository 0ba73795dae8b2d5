import * as onnx from "onnxruntime-node";
import { expect, test } from "vitest";
import { Bundle, readFromMap, ScamClassifier, type Manifest, type OnnxRuntime } from "../src/index.js";
import { blankVerdict, decide, withSender } from "../src/verdict.js";
import { bundleFiles, bundleText } from "./helpers.js";

const manifest = JSON.parse(bundleText("manifest.json")) as Manifest;
const leaves = manifest.labels.leaves;

/** Logits with one leaf on top. */
const favouring = (name: string, by = 30) => Float32Array.from(leaves, (leaf) => (leaf.name === name ? by : 0));

test("each leaf can win, with its verdict, its levers and the model's version", () => {
  for (const leaf of leaves) {
    const result = decide(manifest, favouring(leaf.name));
    expect(result).toMatchObject({
      verdict: leaf.verdict,
      type: leaf.name,
      levers: leaf.levers,
      model: manifest.version,
    });
    expect(result.typeScore).toBeCloseTo(1, 6);
    expect(result.risk).toBeCloseTo(leaf.verdict === "scam" ? 1 : 0, 6);
  }
});

test("actions follow the operating points, and the threshold itself belongs to the stronger action", () => {
  const risk = decide(manifest, favouring("prize", 2)).risk;
  const acts = (warn: number, block: number) =>
    decide(
      { ...manifest, operating_points: { warn: { threshold: warn }, block: { threshold: block } } },
      favouring("prize", 2),
    ).action;
  expect(acts(risk, 1)).toBe("warn");
  expect(acts(risk + 1e-9, 1)).toBe("allow");
  expect(acts(0, risk)).toBe("block");
});

test("calibration: the bias shifts the scam logits, the temperature flattens", () => {
  const calibrated = (temperature: number, scam_bias: number) =>
    decide({ ...manifest, calibration: { temperature, scam_bias } }, favouring("prize", 4)).risk;
  expect(calibrated(1, 1)).toBeGreaterThan(calibrated(1, 0));
  expect(calibrated(9, 0)).toBeLessThan(calibrated(1, 0));
  const scams = leaves.filter((leaf) => leaf.verdict === "scam").length;
  const e = Math.exp(4);
  expect(calibrated(1, 0)).toBeCloseTo((e + scams - 1) / (e + leaves.length - 1), 12);
});

test("a sender takes a message one step further at most, and never back", () => {
  const plain = decide(manifest, favouring("prize", 2));
  const acts = (warn: number, block: number) => {
    const points = { ...manifest, operating_points: { warn: { threshold: warn }, block: { threshold: block } } };
    return withSender(points, decide(points, favouring("prize", 2)), "+14155550100", "en-SG").action;
  };
  expect(acts(plain.risk + 1e-9, plain.risk + 2e-9)).toBe("warn");
  expect(acts(plain.risk, plain.risk + 1e-9)).toBe("block");
  expect(withSender(manifest, plain, "DBS", "en-SG")).toBe(plain);
});

test("a blank message is legitimate and allowed, whatever the thresholds", () => {
  expect(blankVerdict(manifest)).toMatchObject({ verdict: "legitimate", risk: 0, action: "allow", typeScore: 0 });
});

test.each(["int32", "int64"] as const)("inputs are %s where the model says so", async (type) => {
  const fed = new Set<string>();
  const metadata = ["input_ids", "attention_mask"].map((name) => ({
    name,
    isTensor: true,
    type,
    shape: [1, "sequence"],
  }));
  const session = {
    inputNames: ["input_ids", "attention_mask"],
    outputNames: ["logits"],
    inputMetadata: metadata,
    run: async (feeds: Record<string, onnx.Tensor>) => {
      for (const tensor of Object.values(feeds)) fed.add(tensor.type);
      return { logits: { data: favouring("prize") } };
    },
  };
  const runtime = { Tensor: onnx.Tensor, InferenceSession: { create: async () => session } } as unknown as OnnxRuntime;
  const classifier = await ScamClassifier.create(await Bundle.open("test", readFromMap(bundleFiles())), runtime);
  expect((await classifier.score("hello")).type).toBe("prize");
  expect([...fed]).toEqual([type]);
});
