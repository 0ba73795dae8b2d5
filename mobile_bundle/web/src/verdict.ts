import type { Manifest, VerdictName } from "./bundle.js";
import { moved, senderLogOdds } from "./sender.js";

/** What to do with a message, by the bundle's operating points. */
export type Action = "allow" | "warn" | "block";

/** A part of the message that made it look like a scam. */
export interface Evidence {
  /** Where it starts and ends in the message, in UTF-16 units, as `text.slice(start, end)` takes them. */
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** How much of the scam log-odds it carries. */
  readonly weight: number;
}

/** What the model says of one message. */
export interface Verdict {
  readonly verdict: VerdictName;
  /** Calibrated probability of a scam, 0 to 1. */
  readonly risk: number;
  readonly action: Action;
  /** The most probable leaf within the verdict, such as `parcel_delivery`. */
  readonly type: string;
  /** Probability of that leaf, 0 to 1. */
  readonly typeScore: number;
  /** The human levers that this kind of message pulls, such as `urgency`. */
  readonly levers: readonly string[];
  /** Version of the model. */
  readonly model: string;
  /** With `explain`: what made the message look like a scam, heaviest first; empty where nothing did. */
  readonly evidence?: readonly Evidence[];
  /** With `explain`: what the trick is and what to do instead; absent where there is nothing to warn of. */
  readonly forewarning?: string;
}

/** Turns a row of logits into a verdict: calibration, sums over each verdict's leaves, operating points. */
export function decide(manifest: Manifest, logits: Float32Array): Verdict {
  const { leaves, verdicts } = manifest.labels;
  const p = probabilities(manifest, logits);
  const totals = new Map<VerdictName, number>(verdicts.map((verdict) => [verdict, 0]));
  leaves.forEach((leaf, i) => totals.set(leaf.verdict, totals.get(leaf.verdict)! + p[i]!));

  // On a tie the first one wins, here and below, as it does in Python.
  let verdict = verdicts[0]!;
  for (const [name, total] of totals) if (total > totals.get(verdict)!) verdict = name;
  let best = leaves.findIndex((leaf) => leaf.verdict === verdict);
  leaves.forEach((leaf, i) => {
    if (leaf.verdict === verdict && p[i]! > p[best]!) best = i;
  });
  // Sums of rounded floats may pass 1 by a hair; a probability may not.
  const risk = Math.min(1, totals.get("scam")!);
  return result(manifest, best, risk, p[best]!, action(manifest, risk));
}

/** The verdict on a message with nothing to read in it (empty, or only spaces and invisible characters). */
export function blankVerdict(manifest: Manifest): Verdict {
  const first = manifest.labels.leaves.findIndex((leaf) => leaf.verdict === "legitimate");
  return result(manifest, first, 0, 0, "allow");
}

/**
 * The verdict on a text, once its sender is known: a higher `risk` where the sender does not fit.
 *
 * Never lower, and one step of `action` at most: a text that is allowed for itself is not blocked for its sender.
 * `verdict`, `type` and `typeScore` stay the text's own.
 */
export function withSender(
  manifest: Manifest,
  verdict: Verdict,
  sender: string | null | undefined,
  locale?: string | null,
): Verdict {
  const added = senderLogOdds(sender, verdict.type, locale);
  if (added === 0) return verdict;
  const risk = moved(verdict.risk, added);
  const step = action(manifest, risk);
  return { ...verdict, risk, action: verdict.action === "allow" && step === "block" ? "warn" : step };
}

/** The log-odds of scam of a row of logits, calibrated. */
export function scamLogOdds(manifest: Manifest, logits: Float32Array): number {
  const p = probabilities(manifest, logits);
  const sum = manifest.labels.leaves.reduce((total, leaf, i) => (leaf.verdict === "scam" ? total + p[i]! : total), 0);
  const scam = Math.min(Math.max(sum, 1e-9), 1 - 1e-9);
  return Math.log(scam) - Math.log1p(-scam);
}

/** The likeliest kind of scam of a row of logits, whatever the verdict. */
export function likeliestScam(manifest: Manifest, logits: Float32Array): string {
  const scams = manifest.labels.leaves.map((leaf, i) => ({ ...leaf, logit: logits[i]! }));
  return scams.filter((x) => x.verdict === "scam").reduce((best, x) => (x.logit > best.logit ? x : best)).name;
}

function result(manifest: Manifest, index: number, risk: number, typeScore: number, action: Action): Verdict {
  const leaf = manifest.labels.leaves[index]!;
  return {
    verdict: leaf.verdict,
    risk,
    action,
    type: leaf.name,
    typeScore,
    levers: leaf.levers,
    model: manifest.version,
  };
}

function action(manifest: Manifest, risk: number): Action {
  const { warn, block } = manifest.operating_points;
  if (risk >= block.threshold) return "block";
  return risk >= warn.threshold ? "warn" : "allow";
}

function probabilities(manifest: Manifest, logits: Float32Array): number[] {
  const { temperature, scam_bias } = manifest.calibration;
  const scaled = manifest.labels.leaves.map(
    (leaf, i) => (logits[i]! + (leaf.verdict === "scam" ? scam_bias : 0)) / temperature,
  );
  const top = Math.max(...scaled);
  const exp = scaled.map((x) => Math.exp(x - top));
  const sum = exp.reduce((a, b) => a + b, 0);
  return exp.map((x) => x / sum);
}
