package forewarn.client;

import java.util.List;
import java.util.Locale;

/** What the model says of one message. */
public final class Verdict {
    /** What a message is: a fraud, honest marketing, or neither. */
    public enum Name {
        SCAM,
        PROMOTION,
        LEGITIMATE;

        /** The name in lower case, as every other platform writes it. */
        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** What to do with a message, by the bundle's operating points. */
    public enum Action {
        ALLOW,
        WARN,
        BLOCK;

        /** The name in lower case, as every other platform writes it. */
        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** What the message is. */
    public final Name verdict;
    /** Calibrated probability of a scam, 0 to 1. */
    public final double risk;
    /** What to do with it. */
    public final Action action;
    /** The most probable leaf within the verdict, such as {@code parcel_delivery}. */
    public final String type;
    /** Probability of that leaf, 0 to 1. */
    public final double typeScore;
    /** The human levers that this kind of message pulls, such as {@code urgency}. */
    public final List<String> levers;
    /** Version of the model. */
    public final String model;
    /** What the trick is and what to do instead; null where no locale was given or there is nothing to warn of. */
    public final String forewarning;
    /** Of {@code explain}: what made the message look like a scam, heaviest first; null of {@code score}. */
    public final List<Evidence> evidence;

    Verdict(Leaf leaf, double risk, Action action, double typeScore, String model, String forewarning) {
        this.verdict = leaf.verdict;
        this.risk = risk;
        this.action = action;
        this.type = leaf.name;
        this.typeScore = typeScore;
        this.levers = leaf.levers;
        this.model = model;
        this.forewarning = forewarning;
        this.evidence = null;
    }

    private Verdict(Verdict verdict, List<Evidence> evidence) {
        this.verdict = verdict.verdict;
        this.risk = verdict.risk;
        this.action = verdict.action;
        this.type = verdict.type;
        this.typeScore = verdict.typeScore;
        this.levers = verdict.levers;
        this.model = verdict.model;
        this.forewarning = verdict.forewarning;
        this.evidence = evidence;
    }

    /** The same verdict, explained. */
    Verdict with(List<Evidence> evidence) {
        return new Verdict(this, evidence);
    }

    /** The verdict in one line, for people; it holds nothing of the message. */
    @Override
    public String toString() {
        return String.format(
                Locale.ROOT, "%s, risk %.6f, %s, %s (%.6f), %s", verdict, risk, action, type, typeScore, levers);
    }
}
