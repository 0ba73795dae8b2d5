import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { VectorReport } from "../src/index.js";

/** The package's folder and the bundle that ships beside it. */
export const WEB = fileURLToPath(new URL("..", import.meta.url));
export const BUNDLE = fileURLToPath(new URL("../../standard", import.meta.url));

/** A file of the shipped bundle, as text. */
export function bundleText(name: string): string {
  return readFileSync(`${BUNDLE}/${name}`, "utf8");
}

/** The shipped bundle in memory, to damage or to pass on. */
export function bundleFiles(): Map<string, Uint8Array> {
  return new Map(readdirSync(BUNDLE).map((name) => [name, new Uint8Array(readFileSync(`${BUNDLE}/${name}`))]));
}

/** The texts of the shipped bundle's golden vectors. */
export function goldenTexts(): string[] {
  return bundleText("vectors.jsonl")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).text);
}

/** One line for the log: how close the logits came, and how long things took. */
export function figures(where: string, report: VectorReport, loadMs: number, times: number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]!.toFixed(1);
  return (
    `${where}: worst logit ${report.worstLogit.toPrecision(2)}, worst risk ${report.worstRisk.toPrecision(2)}; ` +
    `load ${loadMs.toFixed(0)} ms; a message: median ${at(0.5)} ms, 95 % within ${at(0.95)} ms, longest ${at(1)} ms`
  );
}
