package forewarn.client;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * A loaded bundle, which scores messages on this device. Nothing that it is given leaves it. Safe to share between
 * threads if its {@link Model} is.
 *
 * <p>Any string will do: lone surrogates count as U+FFFD, NUL is dropped, and of a text longer than 4000 characters the
 * first 3000 and last 1000 are read. What has more than {@code max_length} ids is read in windows, each a run of the
 * model, of which the one with the highest risk decides. A text with nothing to read (empty, only spaces or invisible
 * characters) is legitimate with risk 0, whatever the model.
 */
public final class ScamClassifier {
    private final String where;
    private final Manifest manifest;
    private final Tokenizer tokenizer;
    private final Decision decision;
    private final Model model;
    /** Pieces that the model reads at once. */
    private final int room;

    /** The window of a text that decides, and its logits. */
    private static final class Riskiest {
        final Pieces window;
        final float[] logits;

        Riskiest(Pieces window, float[] logits) {
            this.window = window;
            this.logits = logits;
        }
    }

    /**
     * Makes a checked bundle ready to score, and runs its model once, so that one that cannot run is found here.
     *
     * @param model runs the bundle's model.onnx.
     * @throws BundleException if the bundle's tokenizer, forewarnings or model cannot be used.
     */
    public ScamClassifier(Bundle bundle, Model model) {
        this.where = bundle.toString();
        this.manifest = bundle.manifest();
        this.tokenizer = Tokenizer.parse(bundle.read("tokenizer.json"));
        this.decision = new Decision(manifest, new Forewarnings(bundle.read("forewarnings.json")));
        this.model = model;
        this.room = tokenizer.room(manifest.maxLength);
        logits("");
    }

    /** Version of the model. */
    public String version() {
        return manifest.version;
    }

    /** The verdict on one message, without a forewarning. */
    public Verdict score(String text) {
        return score(text, null);
    }

    /**
     * The verdict on one message.
     *
     * @param locale the reader's language as a BCP 47 tag ({@code Locale.toLanguageTag()}): with one, a message that
     *     there is something to warn of gets a forewarning in it, in a parent language, or in English.
     */
    public Verdict score(String text, String locale) {
        return score(text, locale, null);
    }

    /**
     * The verdict on one message, whose sender is known.
     *
     * @param locale as for {@link #score(String, String)}; its region decides which numbers are from abroad.
     * @param sender a number, a short code, a name or a mail address, as the network gave it; null where unknown. A
     *     private number or mail address that speaks for an institution, or a number from abroad, raises {@code risk} a
     *     little; no sender lowers it, and none blocks a text that is allowed for itself.
     */
    public Verdict score(String text, String locale, String sender) {
        String read = clean(text);
        Pieces pieces = tokenizer.encode(read);
        if (isBlank(read, pieces)) return decision.blank();
        return decision.decide(riskiest(pieces).logits, locale, sender);
    }

    /** The verdict on one message with its evidence, and a forewarning in English; see the longest form. */
    public Verdict explain(String text) {
        return explain(text, null, null);
    }

    /** The verdict on one message with its evidence; see the longest form. */
    public Verdict explain(String text, String locale) {
        return explain(text, locale, null);
    }

    /**
     * The verdict that {@link #score(String, String, String)} gives, and in {@link Verdict#evidence} the parts of the
     * message without which it would look less like a scam.
     *
     * <p>It costs up to 48 more runs of the model: ask for it when somebody asks why, off the main thread.
     *
     * @param locale as for {@link #score(String, String)}; null is English.
     * @param sender as for {@link #score(String, String, String)}; evidence is of the text alone.
     */
    public Verdict explain(String text, String locale, String sender) {
        String read = clean(text);
        Pieces pieces = tokenizer.pieces(read);
        if (isBlank(read, pieces)) return decision.blank().with(Collections.emptyList());
        Riskiest riskiest = riskiest(pieces);
        List<Evidence> evidence = evidence(text, read, pieces.size() <= room, riskiest);
        return decision.decide(riskiest.logits, locale == null ? "en" : locale, sender).with(evidence);
    }

    /** One verdict a message, in order, without forewarnings; see {@link #scoreBatch(List, String)}. */
    public List<Verdict> scoreBatch(List<String> texts) {
        return scoreBatch(texts, null);
    }

    /**
     * One verdict a message, in order. Where senders are known, call {@link #score(String, String, String)} for each.
     *
     * <p>Each message runs by itself, so its verdict is the one that {@link #score(String)} gives: a model that is
     * quantised dynamically measures its inputs over the whole batch, and the company of others would move its logits.
     */
    public List<Verdict> scoreBatch(List<String> texts, String locale) {
        List<Verdict> verdicts = new ArrayList<>();
        for (String text : texts) verdicts.add(score(text, locale));
        return verdicts;
    }

    /** The ids that the model reads of a message, of a long one the first window, to compare with other platforms. */
    public int[] encode(String text) {
        return tokenizer.framed(Windows.of(tokenizer.encode(clean(text)), room).get(0));
    }

    /** The text as the tokenizer normalises it, for comparing with other platforms. */
    public String normalise(String text) {
        return tokenizer.normalise(clean(text));
    }

    /** The model's raw logits, one a leaf; not calibrated. Of a long message those of the window that decides. */
    public float[] logits(String text) {
        return riskiest(tokenizer.encode(clean(text))).logits;
    }

    private static boolean isBlank(String read, Pieces pieces) {
        return pieces.size() == 0 || MessageText.isBlank(read);
    }

    /** Reads a text window by window, which takes the memory of one; of equally risky ones the first decides. */
    private Riskiest riskiest(Pieces pieces) {
        Riskiest riskiest = null;
        double highest = 0;
        for (Pieces window : Windows.of(pieces, room)) {
            float[] logits = run(tokenizer.framed(window));
            double logOdds = decision.scamLogOdds(logits);
            if (riskiest == null || logOdds > highest) {
                riskiest = new Riskiest(window, logits);
                highest = logOdds;
            }
        }
        return riskiest;
    }

    /** What made the window that decided look like a scam; of a text in one window, what made the text. */
    private List<Evidence> evidence(String text, String read, boolean isOneWindow, Riskiest riskiest) {
        Pieces seen = riskiest.window;
        if (isOneWindow) {
            double whole = decision.scamLogOdds(riskiest.logits);
            return Explanation.of(text, seen, 0, read.length(), this::scamLogOdds, whole);
        }
        double whole = scamLogOdds(read.substring(seen.start(), seen.end()));
        return Explanation.of(text, seen, seen.start(), seen.end(), this::scamLogOdds, whole);
    }

    private double scamLogOdds(String read) {
        return decision.scamLogOdds(riskiest(tokenizer.encode(read)).logits);
    }

    private float[] run(int[] ids) {
        long[] row = Arrays.stream(ids).asLongStream().toArray();
        long[] ones = new long[row.length];
        Arrays.fill(ones, 1);
        float[][] logits = model.logits(new long[][] {row}, new long[][] {ones});
        int width = manifest.leaves.size();
        if (logits.length != 1 || logits[0].length != width) {
            throw new BundleException(
                    where + ": model.onnx does not give one logit for each of " + width + " labels; export it again");
        }
        for (float logit : logits[0]) {
            if (Float.isNaN(logit) || Float.isInfinite(logit)) {
                throw new BundleException(
                        where + ": model.onnx gives logits that are not numbers; use another bundle");
            }
        }
        return logits[0];
    }

    private static String clean(String text) {
        if (text == null) throw new ForewarnException("a text is null; give the message, or an empty string");
        return MessageText.clean(text);
    }
}
