import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { VectorReport } from "../src/index.js";

/** The package's folder, and the bundles that ship beside it. */
export const WEB = fileURLToPath(new URL("..", import.meta.url));
export const BUNDLE = fileURLToPath(new URL("../../standard", import.meta.url));
export const NANO = fileURLToPath(new URL("../../nano", import.meta.url));

/** A file of a shipped bundle, as text. */
export function bundleText(name: string, bundle = BUNDLE): string {
  return readFileSync(`${bundle}/${name}`, "utf8");
}

/** A shipped bundle in memory, to damage or to pass on. */
export function bundleFiles(bundle = BUNDLE): Map<string, Uint8Array> {
  return new Map(readdirSync(bundle).map((name) => [name, new Uint8Array(readFileSync(`${bundle}/${name}`))]));
}

/** The texts of a shipped bundle's golden vectors. */
export function goldenTexts(bundle = BUNDLE): string[] {
  return bundleText("vectors.jsonl", bundle)
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).text);
}

/** What Python makes of texts, characters and senders; scripts/make_fixture.py has the words to it. */
export interface Fixture {
  manifest_sha256: string;
  block: number;
  cases: { text: string; ids: number[]; pieces: [number, number][]; blank: boolean }[];
  toy: { tokenizer: string; cases: { text: string; ids: number[] }[] };
  characters: { start: number; sha256: string }[];
  explanations: {
    text: string;
    locale: string | null;
    evidence: { start: number; end: number; text: string; weight: number }[];
    forewarning: string | null;
  }[];
  locales: { locale: string | null; taken: string | null }[];
  senders: {
    institutional: string[];
    calling_codes: Record<string, string>;
    types: string[];
    added: { sender: string | null; locale: string | null; added: number[] }[];
    verdicts: { text: string; sender: string | null; risk: number; action: string }[];
  };
}

/** The fixture, which must have been made with the shipped bundle. */
export function readFixture(): Fixture {
  const make = "run: python mobile_bundle/web/scripts/make_fixture.py (`make test-web` does)";
  const path = `${WEB}/tests/fixture.json`;
  if (!existsSync(path)) throw new Error(`no tests/fixture.json; ${make}`);
  const fixture: Fixture = JSON.parse(readFileSync(path, "utf8"));
  if (createHash("sha256").update(bundleText("manifest.json")).digest("hex") !== fixture.manifest_sha256) {
    throw new Error(`tests/fixture.json was made with another bundle; ${make}`);
  }
  return fixture;
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
