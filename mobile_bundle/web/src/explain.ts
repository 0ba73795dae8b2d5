/**
 * Which parts of a text made it look like a scam, and what to tell its reader.
 *
 * Explanations are by occlusion: take a part out, score again; a part's weight is the drop in the log-odds of scam.
 */

import { BundleError } from "./errors.js";
import { clean, origins, sound, SPACES, TAIL_CHARACTERS } from "./text.js";
import type { Evidence } from "./verdict.js";

const MAX_SEGMENTS = 48;
const MAX_SPANS = 5;
const PIECES_PER_SEGMENT = 3;

const WORD = new RegExp(`[^${SPACES}]+`, "g");
// Thai to Burmese, Khmer, kana, Han, full-width forms: scripts written without spaces between words.
const UNSPACED =
  /[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u{20000}-\u{3ffff}]/u;

/** A part of the cleaned text, in UTF-16 units. */
export type Segment = readonly [start: number, end: number];

/**
 * The spans that raise the scam log-odds most, heaviest first; none where nothing does.
 *
 * @param text - the original text.
 * @param pieces - where the pieces that the model read stand in the cleaned text.
 * @param part - the part of the cleaned text that is explained; undefined is all of it.
 * @param scamLogOdds - the model, from a cleaned text to the log-odds of scam.
 * @param whole - the log-odds of that part.
 */
export async function explainScam(
  text: string,
  pieces: readonly Segment[],
  part: Segment | undefined,
  scamLogOdds: (cleaned: string) => Promise<number>,
  whole: number,
): Promise<Evidence[]> {
  const cleaned = clean(text);
  const [begin, stop] = part ?? [0, cleaned.length];
  const segments = segmentsOf(cleaned, begin, pieces);
  const weights: number[] = [];
  for (const [start, end] of segments) {
    weights.push(whole - (await scamLogOdds(cleaned.slice(begin, start) + cleaned.slice(end, stop))));
  }
  const floor = Math.max(0.05, 0.2 * Math.max(...weights));
  const places = origins(text);

  const spans: { start: number; end: number; weight: number }[] = [];
  let last = -2;
  for (const [i, segment] of segments.entries()) {
    let weight = weights[i]!;
    if (weight < floor) continue;
    let start = places[segment[0]]!;
    const end = places[segment[1] - 1]! + 1;
    const before = spans.at(-1);
    // Neighbours become one span, unless the cut of a very long text lies between them.
    if (i === last + 1 && before && characters(text, before.end, start) < TAIL_CHARACTERS / 10) {
      start = before.start;
      weight += before.weight;
      spans.pop();
    }
    spans.push({ start, end, weight });
    last = i;
  }
  return spans
    .sort((a, b) => b.weight - a.weight)
    .slice(0, MAX_SPANS)
    .map(({ start, end, weight }) => ({
      start,
      end,
      text: sound(text.slice(start, end)),
      weight: Math.round(weight * 1e4) / 1e4,
    }));
}

/** At most MAX_SEGMENTS parts of what the model sees: words, or a few pieces where a script has no spaces. */
function segmentsOf(cleaned: string, begin: number, pieces: readonly Segment[]): Segment[] {
  // Beyond the last piece the model has read nothing; taking that out would change nothing.
  const seen = pieces.reduce((most, [, end]) => Math.max(most, end), 0);
  const segments: Segment[] = [];
  for (const word of cleaned.slice(begin, seen).matchAll(WORD)) {
    const start = begin + word.index;
    const end = start + word[0].length;
    if (!UNSPACED.test(word[0])) {
      segments.push([start, end]);
      continue;
    }
    const inside = pieces.filter(([a, b]) => a < end && b > start).map(([a]) => Math.max(a, start));
    const inner = [...new Set([start, ...inside])].sort((a, b) => a - b);
    const cuts = [...inner.filter((_, i) => i % PIECES_PER_SEGMENT === 0), end];
    for (const [i, cut] of cuts.slice(1).entries()) if (cut > cuts[i]!) segments.push([cuts[i]!, cut]);
  }
  return segments.length > MAX_SEGMENTS ? merged(segments) : segments;
}

/** Neighbours put together, in MAX_SEGMENTS groups whose sizes differ by one at most. */
function merged(segments: readonly Segment[]): Segment[] {
  const [size, longer] = [Math.floor(segments.length / MAX_SEGMENTS), segments.length % MAX_SEGMENTS];
  const groups: Segment[] = [];
  for (let group = 0, i = 0; group < MAX_SEGMENTS; group++) {
    const next = i + size + (group < longer ? 1 : 0);
    groups.push([segments[i]![0], segments[next - 1]![1]]);
    i = next;
  }
  return groups;
}

function characters(text: string, start: number, end: number): number {
  return Array.from(text.slice(start, end)).length;
}

/** What to tell the reader, by leaf and lower-case locale. */
export type Forewarnings = ReadonlyMap<string, ReadonlyMap<string, string>>;

/**
 * Read a bundle's forewarnings.json.
 *
 * @throws BundleError if it is none.
 */
export function parseForewarnings(json: string): Forewarnings {
  try {
    const byLeaf = Object.entries<Record<string, unknown>>(JSON.parse(json));
    return new Map(
      byLeaf.map(([leaf, byLocale]) => {
        if (typeof byLocale !== "object" || byLocale === null) throw new TypeError();
        return [leaf, new Map(Object.entries(byLocale).map(([tag, text]) => [tag.toLowerCase(), String(text)]))];
      }),
    );
  } catch {
    throw new BundleError("forewarnings.json is not {leaf: {locale: text}}; export the bundle again");
  }
}

/**
 * The text of the nearest locale: zh-Hant-TW, then zh-Hant, then zh, then en; undefined where there is none of them.
 *
 * @param byLocale - texts by lower-case BCP 47 tag.
 * @param locale - the tag asked for, in any case, `_` or `-`; none is English.
 */
export function forewarningFor(byLocale: ReadonlyMap<string, string>, locale?: string | null): string | undefined {
  let tag = (locale || "en").trim().replaceAll("_", "-").split(".")[0]!.toLowerCase();
  // Where the script is not said, these regions write traditional Chinese.
  if (/^zh-(?:tw|hk|mo)$/.test(tag)) tag = tag.replace("zh-", "zh-hant-");
  for (; tag !== ""; tag = tag.slice(0, Math.max(0, tag.lastIndexOf("-")))) {
    const text = byLocale.get(tag);
    if (text !== undefined) return text;
  }
  return byLocale.get("en");
}
