import type * as onnx from "onnxruntime-common";
import type { Bundle, Manifest } from "./bundle.js";
import { BundleError, ForewarnError } from "./errors.js";
import { explainScam, forewarningFor, parseForewarnings, type Forewarnings, type Segment } from "./explain.js";
import { clean, SPACES } from "./text.js";
import { Tokenizer } from "./tokenizer.js";
import {
  blankVerdict,
  decide,
  likeliestScam,
  scamLogOdds,
  withSender,
  type Evidence,
  type Verdict,
} from "./verdict.js";
import { windowStarts } from "./windows.js";

/** The part of ONNX Runtime that is used; onnxruntime-web, -node and -react-native all have it. */
export type OnnxRuntime = Pick<typeof onnx, "InferenceSession" | "Tensor">;

/** What to find out about a message beside its verdict, and what is known about it. */
export interface ScoreOptions {
  /** Also give `evidence`, which costs up to 48 more runs of the model, and `forewarning`. */
  readonly explain?: boolean | undefined;
  /**
   * BCP 47 tag of the reader: the language of the forewarning, of which unknown ones fall back to a parent, then to
   * English. Its region decides which senders are from abroad.
   */
  readonly locale?: string | null | undefined;
  /** Who sent it, as the network gave it; a sender that does not fit the message raises its risk. */
  readonly sender?: string | null | undefined;
}

/** The same for several messages. */
export interface BatchOptions extends Omit<ScoreOptions, "sender"> {
  /** Who sent each message, null where unknown. */
  readonly senders?: readonly (string | null | undefined)[];
}

/** What the model makes of a text: of the window that decides, where that starts among the text's pieces. */
interface Reading {
  readonly start: number;
  readonly logits: Float32Array;
  /** Of scam, calibrated. */
  readonly logOdds: number;
}

const ONLY_SPACES = new RegExp(`^[${SPACES}]*$`);

/**
 * A loaded bundle, which scores messages on this device. Nothing that it is given leaves it.
 *
 * Any JavaScript string will do: lone surrogates count as U+FFFD, NUL is dropped, and of a text longer than 4000
 * characters the first 3000 and last 1000 are read. What has more than `maxLength` ids is read in windows, of which the
 * one with the highest risk decides. A text with nothing to read (empty, only spaces or invisible characters) is
 * legitimate with risk 0, whatever the model.
 */
export class ScamClassifier {
  /** Version of the model. */
  readonly version: string;
  /** The most ids that the model reads at once. */
  readonly maxLength: number;
  /** How many of them are a message's own, between those of the frame. */
  private readonly room: number;

  private constructor(
    private readonly manifest: Manifest,
    private readonly where: string,
    private readonly tokenizer: Tokenizer,
    private readonly forewarnings: Forewarnings,
    private readonly onnxRuntime: OnnxRuntime,
    private readonly session: onnx.InferenceSession,
  ) {
    this.version = manifest.version;
    this.maxLength = manifest.max_length;
    this.room = this.maxLength - tokenizer.frame([]).length;
  }

  /**
   * Make a checked bundle ready to score, on any ONNX Runtime for JavaScript. `load` of `@forewarn/client/web` and
   * `@forewarn/client/node` are the usual ways in.
   *
   * @throws BundleError if the bundle's tokenizer or model cannot be run.
   */
  static async create(
    bundle: Bundle,
    onnxRuntime: OnnxRuntime,
    options: onnx.InferenceSession.SessionOptions = {},
  ): Promise<ScamClassifier> {
    const text = (name: string): string => new TextDecoder().decode(bundle.read(name));
    const tokenizer = Tokenizer.parse(text("tokenizer.json"));
    const forewarnings = parseForewarnings(text("forewarnings.json"));
    // Severity 3 is errors: the runtimes' warnings are about hardware that we do not ask for.
    const session = await onnxRuntime.InferenceSession.create(bundle.read("model.onnx"), {
      logSeverityLevel: 3,
      ...options,
    });
    const inputs = [...session.inputNames].sort().join();
    if (inputs !== "attention_mask,input_ids" || !session.outputNames.includes("logits")) {
      throw new BundleError(`bundle ${bundle.where}: model.onnx has other inputs or outputs than a forewarn model`);
    }
    const classifier = new ScamClassifier(
      bundle.manifest,
      bundle.where,
      tokenizer,
      forewarnings,
      onnxRuntime,
      session,
    );
    // A model that cannot run is found here, not at somebody's first message.
    await classifier.logits("");
    return classifier;
  }

  /** The verdict on one message. */
  async score(text: string, options: ScoreOptions = {}): Promise<Verdict> {
    checkText(text);
    const { explain = false, locale, sender } = options;
    if (sender != null) checkText(sender, "a sender");
    const cleaned = clean(text);
    const ids = this.tokenizer.ids(cleaned);
    if (ids.length === 0 || ONLY_SPACES.test(cleaned)) {
      const verdict = blankVerdict(this.manifest);
      return explain ? { ...verdict, evidence: [] } : verdict;
    }
    const reading = await this.read(ids);
    const verdict = withSender(this.manifest, decide(this.manifest, reading.logits), sender, locale);
    return explain ? this.explained(text, reading, verdict, locale) : verdict;
  }

  /**
   * One verdict a message, in order.
   *
   * Each message runs by itself, so its verdict is the one that `score` gives: a model that is quantised dynamically
   * measures its inputs over the whole batch, and the company of others would move a message's logits.
   */
  async scoreBatch(texts: readonly string[], options: BatchOptions = {}): Promise<Verdict[]> {
    if (!Array.isArray(texts)) throw new ForewarnError("scoreBatch takes an array of texts; for one text use score");
    for (const text of texts) checkText(text);
    const { senders, ...others } = options;
    if (senders !== undefined && senders.length !== texts.length) {
      const counts = `${senders.length} senders for ${texts.length} texts`;
      throw new ForewarnError(`${counts}; give one a text, null where unknown`);
    }
    const verdicts: Verdict[] = [];
    for (const [i, text] of texts.entries()) verdicts.push(await this.score(text, { ...others, sender: senders?.[i] }));
    return verdicts;
  }

  /** The ids that the model reads of a message (of a long one the first window), for comparing with other platforms. */
  encode(text: string): number[] {
    checkText(text);
    return this.tokenizer.frame(this.tokenizer.ids(clean(text)).slice(0, this.room));
  }

  /** The text as the tokenizer normalises it, for comparing with other platforms. */
  normalise(text: string): string {
    checkText(text);
    return this.tokenizer.normalise(clean(text));
  }

  /** The model's raw logits (of a long message those of the window that decides), one a leaf; not calibrated. */
  async logits(text: string): Promise<Float32Array> {
    checkText(text);
    return (await this.read(this.tokenizer.ids(clean(text)))).logits;
  }

  /** Give the model's memory back; the classifier cannot be used after that. */
  async release(): Promise<void> {
    await this.session.release();
  }

  private async explained(
    text: string,
    reading: Reading,
    verdict: Verdict,
    locale: string | null | undefined,
  ): Promise<Verdict> {
    const evidence = await this.evidence(text, reading);
    if (verdict.verdict !== "scam" && verdict.action === "allow") return { ...verdict, evidence };
    // A message that is warned of although its verdict is another one is warned of as its likeliest scam.
    const byLocale = this.forewarnings.get(likeliestScam(this.manifest, reading.logits)) ?? new Map<string, string>();
    const forewarning = forewarningFor(byLocale, locale);
    return forewarning === undefined ? { ...verdict, evidence } : { ...verdict, evidence, forewarning };
  }

  /** What made the window that decided look like a scam. */
  private async evidence(text: string, reading: Reading): Promise<Evidence[]> {
    const cleaned = clean(text);
    const pieces = this.tokenizer.spans(cleaned);
    const seen = pieces.slice(reading.start, reading.start + this.room);
    const logOdds = async (part: string): Promise<number> => (await this.read(this.tokenizer.ids(part))).logOdds;
    if (pieces.length <= this.room) return explainScam(text, seen, undefined, logOdds, reading.logOdds);
    const part: Segment = [Math.min(...seen.map(([start]) => start)), Math.max(...seen.map(([, end]) => end))];
    return explainScam(text, seen, part, logOdds, await logOdds(cleaned.slice(...part)));
  }

  /** The riskiest window of a text's ids. One runs after the other, for the reason that `scoreBatch` gives. */
  private async read(ids: readonly number[]): Promise<Reading> {
    let riskiest: Reading | undefined;
    for (const start of windowStarts(ids.length, this.room)) {
      const logits = await this.run(this.tokenizer.frame(ids.slice(start, start + this.room)));
      const logOdds = scamLogOdds(this.manifest, logits);
      // The first one of equals, as in Python.
      if (riskiest === undefined || logOdds > riskiest.logOdds) riskiest = { start, logits, logOdds };
    }
    return riskiest!;
  }

  private async run(ids: readonly number[]): Promise<Float32Array> {
    const ones = ids.map(() => 1);
    const output = await this.session.run(
      {
        input_ids: this.tensor("input_ids", ids),
        attention_mask: this.tensor("attention_mask", ones),
      },
      ["logits"],
    );
    const logits = output.logits?.data;
    const width = this.manifest.labels.leaves.length;
    if (!(logits instanceof Float32Array) || logits.length !== width) {
      throw new BundleError(
        `bundle ${this.where}: model.onnx does not give one logit for each of ${width} labels; export it again`,
      );
    }
    if (!logits.every(Number.isFinite)) {
      throw new BundleError(`bundle ${this.where}: model.onnx gives logits that are not numbers; use another bundle`);
    }
    return logits;
  }

  /** A row of integers, as wide as the model wants them; int64 where a runtime does not say. */
  private tensor(name: string, values: readonly number[]): onnx.Tensor {
    const input = this.session.inputMetadata?.find((x) => x.name === name);
    return input?.isTensor && input.type === "int32"
      ? new this.onnxRuntime.Tensor("int32", Int32Array.from(values), [1, values.length])
      : new this.onnxRuntime.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
  }
}

function checkText(text: unknown, what = "a text"): void {
  if (typeof text !== "string")
    throw new ForewarnError(`${what} is a string, not ${text === null ? "null" : `of type ${typeof text}`}`);
}
