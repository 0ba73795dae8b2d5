import type { ScamClassifier } from "./classifier.js";

/** How far a logit may lie from the golden one; README.md has what was measured. */
export const LOGIT_TOLERANCE = 0.05;

/** What came of running a bundle's golden vectors. */
export interface VectorReport {
  /** How many vectors there were. */
  readonly count: number;
  /** The largest distance of a logit, and of a risk, from its golden value. */
  readonly worstLogit: number;
  readonly worstRisk: number;
  /** One line a deviation; empty when this platform gives what every other one gives. */
  readonly failures: readonly string[];
}

/** One line of vectors.jsonl, as `forewarn export` writes it. */
interface Vector {
  text: string;
  normalised: string;
  ids: number[];
  logits: number[];
  verdict: { verdict: string; risk: number; action: string; type: string; levers: string[]; model: string };
}

/**
 * Run a bundle's golden vectors: normalised text, ids and verdict must be exact, logits within `LOGIT_TOLERANCE`.
 *
 * @param classifier - the loaded bundle.
 * @param vectors - the content of the bundle's vectors.jsonl.
 */
export async function checkVectors(classifier: ScamClassifier, vectors: string): Promise<VectorReport> {
  const failures: string[] = [];
  const lines = vectors.split("\n").filter((line) => line !== "");
  let worstLogit = 0;
  let worstRisk = 0;
  for (const [i, line] of lines.entries()) {
    const golden: Vector = JSON.parse(line);
    const compare = (what: string, got: unknown, wanted: unknown): void => {
      const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
      if (a !== b) failures.push(`vector ${i + 1}: ${what} is ${a}, not ${b}`);
    };
    compare("normalised text", classifier.normalise(golden.text), golden.normalised);
    compare("ids", classifier.encode(golden.text), golden.ids);

    const logits = Array.from(await classifier.logits(golden.text));
    const apart = Math.max(...logits.map((x, j) => Math.abs(x - golden.logits[j]!)));
    worstLogit = Math.max(worstLogit, apart);
    if (!(apart <= LOGIT_TOLERANCE)) failures.push(`vector ${i + 1}: a logit is ${apart} away`);

    const got = await classifier.score(golden.text);
    const exact = (v: Omit<Vector["verdict"], "risk">): unknown => [v.verdict, v.action, v.type, v.levers, v.model];
    compare("verdict", exact({ ...got, levers: [...got.levers] }), exact(golden.verdict));
    worstRisk = Math.max(worstRisk, Math.abs(got.risk - golden.verdict.risk));
  }
  return { count: lines.length, worstLogit, worstRisk, failures };
}
