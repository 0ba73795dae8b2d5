/**
 * From text to ids, as the bundle's tokenizer.json says and as the `tokenizers` library in Python does it.
 *
 * Only the steps that forewarn models use are here. A tokenizer.json with any other step is refused, since a step done
 * nearly right gives other verdicts than the other platforms without anybody noticing.
 */

import { BundleError } from "./errors.js";
import { traced, traceNfkc, tracePrefix, traceReplace, type Traced } from "./trace.js";

/** A step of the normaliser, and the same keeping track of where characters come from. */
interface Step {
  run(text: string): string;
  trace(text: Traced): Traced;
}

/** A piece of a normalised text, and where it stands there. */
interface Piece {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Characters that normalise or reorder in Unicode today but do not in the tables that the `tokenizers` library has for
 * it, which are from before Unicode 12. They pass unchanged, so that every platform agrees on them, whichever version
 * of Unicode it has. tests/tokenizer.test.ts compares every character with the library.
 */
const TOO_NEW = new RegExp(
  "([" +
    String.raw`\u07fd\u0897-\u089f\u08ca-\u08d3\u09fe\u0c3c\u0d3b\u0d3c\u0eba\u1715\u1abf-\u1aeb\u1df6-\u1dfa\u32ff` +
    String.raw`\ua7f1-\ua7f4\ua82c\uab69\u{105c9}-\u{105e4}\u{10780}-\u{107ba}\u{10d24}-\u{10d27}` +
    String.raw`\u{10d69}-\u{10d6d}\u{10eab}\u{10eac}\u{10efa}-\u{10eff}\u{10f46}-\u{10f50}\u{10f82}-\u{10f85}` +
    String.raw`\u{11070}\u{1133b}\u{11380}-\u{113e2}\u{1145e}\u{11839}\u{1183a}\u{11900}-\u{11959}\u{119e0}` +
    String.raw`\u{11a34}\u{11a47}\u{11a99}\u{11d42}-\u{11d45}\u{11d97}\u{11f41}\u{11f42}\u{16100}-\u{16139}` +
    String.raw`\u{16d40}-\u{16d79}\u{16ff0}\u{16ff1}\u{1ccd6}-\u{1ccf9}\u{1e030}-\u{1e06d}\u{1e08f}` +
    String.raw`\u{1e130}-\u{1e136}\u{1e2ae}\u{1e2ec}-\u{1e2ef}\u{1e4ec}-\u{1e4ef}\u{1e5ee}\u{1e5ef}` +
    String.raw`\u{1e6e3}-\u{1e6f5}\u{1f16c}\u{1fbf0}-\u{1fbf9}` +
    "]+)",
  "u",
);

/** The patterns of Replace steps, in the meaning that they have in the library. */
const PATTERNS: Readonly<Record<string, RegExp>> = {
  "\\p{Cf}": /\p{Cf}/gu,
  // JavaScript's \s has the byte order mark, which Unicode's White_Space lacks, and lacks U+0085.
  "\\s+": /(?:[^\S\ufeff]|\x85)+/gu,
};

/** A bundle's tokenizer: normalisation, splitting, and the most probable way to cut each word into known pieces. */
export class Tokenizer {
  private readonly wordStart: RegExp;

  private constructor(
    /** Added tokens such as [CLS], which count as themselves wherever they stand in the raw text. */
    private readonly special: ReadonlyMap<string, number>,
    private readonly specialName: RegExp | undefined,
    private readonly steps: readonly Step[],
    /** The mark that stands for the space before a word. */
    private readonly space: string,
    /** Ids that stand before and after those of the text. */
    private readonly before: readonly number[],
    private readonly after: readonly number[],
    private readonly vocabulary: ReadonlyMap<string, number>,
    private readonly scores: Float64Array,
    private readonly longest: number,
    private readonly unknownId: number,
    private readonly unknownScore: number,
  ) {
    this.wordStart = new RegExp(`(?=${space})`);
  }

  /**
   * Build from the content of a tokenizer.json.
   *
   * @throws BundleError if it is none, or has steps that this version does not know.
   */
  static parse(json: string): Tokenizer {
    try {
      return Tokenizer.build(JSON.parse(json));
    } catch (error) {
      if (error instanceof BundleError) throw error;
      throw new BundleError("tokenizer.json is not a tokenizer; export the bundle again");
    }
  }

  private static build(t: any): Tokenizer {
    const special = new Map<string, number>();
    for (const token of t.added_tokens) {
      expect(!token.normalized && !token.single_word && !token.lstrip && !token.rstrip, "added token", token.content);
      special.set(token.content, token.id);
    }

    const names = [...special.keys()].sort((a, b) => b.length - a.length).map((name) => name.replace(/\W/g, "\\$&"));
    const specialName = names.length > 0 ? new RegExp(`(${names.join("|")})`) : undefined;

    expect(t.normalizer.type === "Sequence", "normalizer", t.normalizer.type);
    const steps: Step[] = t.normalizer.normalizers.map(normaliserStep);

    const [metaspace, digits, ...others] = t.pre_tokenizer.pretokenizers;
    expect(
      metaspace.type === "Metaspace" &&
        metaspace.prepend_scheme === "always" &&
        metaspace.split &&
        metaspace.replacement.length === 1,
      "pre-tokenizer",
      metaspace.type,
    );
    expect(digits.type === "Digits" && digits.individual_digits && others.length === 0, "pre-tokenizer", digits.type);

    expect(t.post_processor.type === "TemplateProcessing", "post-processor", t.post_processor.type);
    const template: any[] = t.post_processor.single;
    const at = template.findIndex((part) => "Sequence" in part);
    const ids = (parts: any[]): number[] =>
      parts.flatMap((part) => t.post_processor.special_tokens[part.SpecialToken.id].ids);

    const model = t.model;
    expect(model.type === "Unigram" && !model.byte_fallback && Number.isInteger(model.unk_id), "model", model.type);
    const pieces = new Map<string, number>();
    const scores = new Float64Array(model.vocab.length);
    let longest = 0;
    model.vocab.forEach(([piece, score]: [string, number], id: number) => {
      pieces.set(piece, id);
      scores[id] = score;
      longest = Math.max(longest, piece.length);
    });
    // The library's penalty: an unknown character costs 10 more than the rarest piece.
    const unknownScore = scores.reduce((least, score) => Math.min(least, score), Infinity) - 10;

    return new Tokenizer(
      special,
      specialName,
      steps,
      metaspace.replacement,
      ids(template.slice(0, at)),
      ids(template.slice(at + 1)),
      pieces,
      scores,
      longest,
      model.unk_id,
      unknownScore,
    );
  }

  /**
   * The ids of a text's pieces, however many, without the template's frame.
   *
   * @param text - the message; must hold no lone surrogate.
   */
  ids(text: string): number[] {
    const ids: number[] = [];
    for (const part of this.parts(text)) {
      const id = this.special.get(part);
      if (id !== undefined) ids.push(id);
      else for (const piece of this.pieces(this.marked(this.normalise(part)))) ids.push(piece.id);
    }
    return ids;
  }

  /** Ids in the template's frame ([CLS] ... [SEP]), as the model reads them. */
  frame(ids: readonly number[]): number[] {
    return [...this.before, ...ids, ...this.after];
  }

  /**
   * Where the pieces of a text stand in it, in UTF-16 units: one start and end for each of `ids`.
   *
   * @param text - as for `ids`.
   */
  spans(text: string): [start: number, end: number][] {
    const spans: [number, number][] = [];
    let offset = 0;
    for (const part of this.parts(text)) {
      if (this.special.has(part)) {
        spans.push([offset, offset + part.length]);
      } else {
        let normalised = this.steps.reduce((result, step) => step.trace(result), traced(part));
        // Spaces become marks one for one; a mark that comes before the text stands for its first character.
        const text = this.marked(normalised.text);
        if (text.length > normalised.text.length) normalised = tracePrefix(normalised, this.space);
        for (const { start, end } of this.pieces(text)) {
          spans.push([offset + normalised.starts[start]!, offset + normalised.ends[end - 1]!]);
        }
      }
      offset += part.length;
    }
    return spans;
  }

  /** The text as the model's pieces are looked up in it. */
  normalise(text: string): string {
    return this.steps.reduce((result, step) => step.run(result), text);
  }

  /** Special tokens, which are found in the raw text, before it is normalised, and what stands between them. */
  private parts(text: string): string[] {
    return this.specialName === undefined ? [text] : text.split(this.specialName);
  }

  /** A normalised text with its spaces marked, and a mark before it. */
  private marked(normalised: string): string {
    const text = normalised.replaceAll(" ", this.space);
    return text === "" || text.startsWith(this.space) ? text : this.space + text;
  }

  /** The pieces of a marked text. */
  private pieces(text: string): Piece[] {
    const pieces: Piece[] = [];
    let start = 0;
    // Words keep the mark at their start; each digit is a word of its own.
    for (const word of text.split(this.wordStart)) {
      for (const part of word.match(/\p{N}|\P{N}+/gu) ?? []) {
        pieces.push(...this.cut(part, start));
        start += part.length;
      }
    }
    return pieces;
  }

  /**
   * The most probable cut of a word into pieces (Viterbi); neighbouring unknown characters are one piece.
   *
   * @param word - a word of a marked text.
   * @param offset - where it starts there.
   */
  private cut(word: string, offset: number): Piece[] {
    const size = word.length;
    // For each position of the word the best cut that ends there: its score, its last piece, and where that starts.
    const best = new Float64Array(size + 1);
    const lastId = new Int32Array(size + 1);
    const lastStart = new Int32Array(size + 1).fill(-1);
    const offer = (start: number, end: number, id: number, score: number): void => {
      const total = best[start]! + score;
      if (lastStart[end] !== -1 && total <= best[end]!) return;
      best[end] = total;
      lastId[end] = id;
      lastStart[end] = start;
    };

    for (let start = 0, next = 0; start < size; start = next) {
      next = start + (word.codePointAt(start)! > 0xffff ? 2 : 1);
      let single = false;
      // A slice that ends within a surrogate pair is no piece, so it does no harm to look it up.
      for (let end = start + 1; end <= Math.min(size, start + this.longest); end++) {
        const id = this.vocabulary.get(word.slice(start, end));
        if (id === undefined) continue;
        offer(start, end, id, this.scores[id]!);
        single ||= end === next;
      }
      if (!single) offer(start, next, this.unknownId, this.unknownScore);
    }

    const pieces: Piece[] = [];
    for (let end = size; end > 0; end = lastStart[end]!) {
      const id = lastId[end]!;
      const start = offset + lastStart[end]!;
      const following = pieces.at(-1);
      if (id === this.unknownId && following?.id === id) pieces[pieces.length - 1] = { ...following, start };
      else pieces.push({ id, start, end: offset + end });
    }
    return pieces.reverse();
  }
}

function expect(condition: boolean, part: string, what: unknown): void {
  if (!condition)
    throw new BundleError(
      `tokenizer.json has a ${part} that this version cannot run (${what}); upgrade @forewarn/client`,
    );
}

function normaliserStep(step: any): Step {
  if (step.type === "NFKC") return NFKC;
  // One character at a time: over whole words JavaScript has a final sigma, which the library has not.
  if (step.type === "Lowercase") return replaceStep(/\p{Changes_When_Lowercased}/gu, (letter) => letter.toLowerCase());
  const pattern = step.type === "Replace" ? PATTERNS[step.pattern.Regex] : undefined;
  expect(pattern !== undefined, "normalizer", step.pattern?.Regex ?? step.type);
  return replaceStep(pattern!, () => step.content);
}

function replaceStep(pattern: RegExp, replacement: (match: string) => string): Step {
  return {
    run: (text) => text.replace(pattern, replacement),
    trace: (text) => traceReplace(text, pattern, replacement),
  };
}

const NFKC: Step = {
  run: (text) =>
    text
      .split(TOO_NEW)
      .map((part, i) => (i % 2 ? part : part.normalize("NFKC")))
      .join(""),
  trace: (text) => traceNfkc(text, TOO_NEW),
};
