package forewarn.client;

import java.util.EnumMap;
import java.util.Map;

/** From a row of logits to a verdict: calibration, sums over each verdict's leaves, operating points. */
final class Decision {
    /** Keeps log-odds finite where the model is certain. */
    private static final double LEAST_PROBABILITY = 1e-9;

    private final Manifest manifest;
    private final Forewarnings forewarnings;

    Decision(Manifest manifest, Forewarnings forewarnings) {
        this.manifest = manifest;
        this.forewarnings = forewarnings;
    }

    /**
     * The verdict on a message.
     *
     * @param logits one a leaf, in the manifest's order.
     * @param locale BCP 47 tag of the forewarning's language; null for none.
     * @param sender who sent it: a higher risk where the sender does not fit, and at most one step of action, since a
     *     text that is allowed for itself is not blocked for its sender. Null where unknown.
     */
    Verdict decide(float[] logits, String locale, String sender) {
        double[] p = probabilities(logits);
        Map<Verdict.Name, Double> totals = new EnumMap<>(Verdict.Name.class);
        for (int i = 0; i < p.length; i++) totals.merge(manifest.leaves.get(i).verdict, p[i], Double::sum);

        // On a tie the first one wins, here and below, as it does on every platform.
        Verdict.Name verdict = manifest.verdicts.get(0);
        for (Verdict.Name name : manifest.verdicts) {
            if (totals.getOrDefault(name, 0.0) > totals.getOrDefault(verdict, 0.0)) verdict = name;
        }
        // Sums of rounded floats may pass 1 by a hair; a probability may not.
        double risk = Math.min(1, totals.get(Verdict.Name.SCAM));
        Verdict.Action action = action(risk);
        int best = best(p, verdict);
        double added = Sender.logOdds(sender, manifest.leaves.get(best).name, locale);
        if (added > 0) {
            boolean wasAllowed = action == Verdict.Action.ALLOW;
            risk = Sender.moved(risk, added);
            action = action(risk);
            if (wasAllowed && action == Verdict.Action.BLOCK) action = Verdict.Action.WARN;
        }
        String forewarning = null;
        if (locale != null && (verdict == Verdict.Name.SCAM || action != Verdict.Action.ALLOW)) {
            // A message that is warned of although its verdict is another one is warned of as its likeliest scam.
            forewarning = forewarnings.find(manifest.leaves.get(best(p, Verdict.Name.SCAM)).name, locale);
        }
        return new Verdict(manifest.leaves.get(best), risk, action, p[best], manifest.version, forewarning);
    }

    /** The log-odds of scam of a row of logits, calibrated; whoever sent the message. */
    double scamLogOdds(float[] logits) {
        double[] p = probabilities(logits);
        double sum = 0;
        for (int i = 0; i < p.length; i++) if (manifest.leaves.get(i).verdict == Verdict.Name.SCAM) sum += p[i];
        double scam = Math.min(Math.max(sum, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY);
        return Math.log(scam) - Math.log1p(-scam);
    }

    /** The verdict on a message with nothing to read in it (empty, or only spaces and invisible characters). */
    Verdict blank() {
        int first = 0;
        while (manifest.leaves.get(first).verdict != Verdict.Name.LEGITIMATE) first++;
        return new Verdict(manifest.leaves.get(first), 0, Verdict.Action.ALLOW, 0, manifest.version, null);
    }

    /** The most probable leaf of a verdict. */
    private int best(double[] p, Verdict.Name verdict) {
        int best = -1;
        for (int i = 0; i < p.length; i++) {
            if (manifest.leaves.get(i).verdict == verdict && (best < 0 || p[i] > p[best])) best = i;
        }
        return best;
    }

    private Verdict.Action action(double risk) {
        if (risk >= manifest.block) return Verdict.Action.BLOCK;
        return risk >= manifest.warn ? Verdict.Action.WARN : Verdict.Action.ALLOW;
    }

    private double[] probabilities(float[] logits) {
        double[] p = new double[logits.length];
        double top = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < p.length; i++) {
            double bias = manifest.leaves.get(i).verdict == Verdict.Name.SCAM ? manifest.scamBias : 0;
            p[i] = (logits[i] + bias) / manifest.temperature;
            top = Math.max(top, p[i]);
        }
        double sum = 0;
        for (int i = 0; i < p.length; i++) sum += p[i] = Math.exp(p[i] - top);
        for (int i = 0; i < p.length; i++) p[i] /= sum;
        return p;
    }
}
