package forewarn.client;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;

/**
 * One cold process of the Android client's core, without a model: a job as JSON on standard input, its figures as JSON on
 * standard output. {@code run.py} starts it, and says in workers.py what a job and its figures are.
 */
public final class Measure {
    public static void main(String[] args) throws IOException {
        Map<?, ?> job = (Map<?, ?>) Json.parse(new String(System.in.readAllBytes(), StandardCharsets.UTF_8));
        if (job.get("bundle") == null) {
            System.out.printf("{\"peak\": %d}%n", peak());
            return;
        }
        int labels = ((Double) job.get("labels")).intValue();
        long start = System.nanoTime();
        Model none = (ids, mask) -> new float[ids.length][labels];
        ScamClassifier classifier = new ScamClassifier(Bundle.open(new File((String) job.get("bundle"))), none);
        double load = (System.nanoTime() - start) / 1e6;
        times(strings(job.get("warm")), classifier::score);
        List<Double> message = times(strings(job.get("texts")), classifier::score);
        long peakAlone = peak();
        List<List<String>> batches = new ArrayList<>();
        for (Object batch : (List<?>) job.get("batches")) batches.add(strings(batch));
        List<Double> batch = times(batches, classifier::scoreBatch);
        System.out.printf(
                Locale.ROOT,
                "{\"load\": %f, \"message\": %s, \"batch\": %s, \"peak_alone\": %d, \"peak\": %d}%n",
                load, message, batch, peakAlone, peak());
    }

    private static <T> List<Double> times(List<T> inputs, Consumer<T> score) {
        List<Double> times = new ArrayList<>();
        for (T input : inputs) {
            long start = System.nanoTime();
            score.accept(input);
            times.add((System.nanoTime() - start) / 1e6);
        }
        return times;
    }

    private static List<String> strings(Object list) {
        List<String> strings = new ArrayList<>();
        for (Object text : (List<?>) list) strings.add((String) text);
        return strings;
    }

    /** The most memory that this process has held so far, in bytes. */
    private static long peak() throws IOException {
        for (String line : Files.readAllLines(Paths.get("/proc/self/status"))) {
            if (line.startsWith("VmHWM")) return 1024 * Long.parseLong(line.replaceAll("[^0-9]", ""));
        }
        throw new IOException("/proc/self/status does not say VmHWM");
    }
}
