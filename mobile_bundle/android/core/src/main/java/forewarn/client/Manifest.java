package forewarn.client;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What the client relies on of a bundle's manifest.json, checked. */
final class Manifest {
    /** The bundle format that this version reads. */
    static final int FORMAT = 1;

    private static final String[] REQUIRED = {"model.onnx", "tokenizer.json", "forewarnings.json"};

    final String version;
    final int maxLength;
    final double temperature;
    final double scamBias;
    final double warn;
    final double block;
    /** In the manifest's order, which decides ties. */
    final List<Verdict.Name> verdicts;
    /** In the order of the model's logits. */
    final List<Leaf> leaves;
    /** The sha256 of each file in lower-case hexadecimal, by the file's name. */
    final Map<String, String> files;

    private final String where;

    /**
     * Checks every field that the client relies on.
     *
     * @param where the bundle's place, for messages.
     * @param content manifest.json as it lies there.
     * @throws BundleException if it is not one, or of another format.
     */
    Manifest(String where, byte[] content) {
        this.where = where;
        Object parsed;
        try {
            parsed = Json.parse(content);
        } catch (IllegalArgumentException e) {
            throw new BundleException("bundle " + where + ": manifest.json is not JSON; copy the bundle again");
        }
        require(parsed instanceof Map, "is not an object");
        Map<?, ?> m = (Map<?, ?>) parsed;
        checkFormat(m.get("format"));

        version = text(m.get("version"), "has no model version");
        double length = number(m.get("max_length"), "has no usable max_length");
        maxLength = (int) length;
        require(maxLength == length && maxLength >= 4, "has no usable max_length");
        Map<?, ?> calibration = map(m.get("calibration"), "has no calibration");
        temperature = number(calibration.get("temperature"), "has no usable temperature");
        require(temperature > 0, "has no usable temperature");
        scamBias = number(calibration.get("scam_bias"), "has no scam_bias");
        Map<?, ?> points = map(m.get("operating_points"), "has no operating points");
        warn = threshold(points, "warn");
        block = threshold(points, "block");
        files = files(map(m.get("files"), "lists no files"));

        Map<?, ?> labels = map(m.get("labels"), "has no label taxonomy");
        verdicts = verdicts(list(labels.get("verdicts"), "has no label taxonomy"));
        leaves = leaves(list(labels.get("leaves"), "has no label taxonomy"));
        for (Verdict.Name verdict : new Verdict.Name[] {Verdict.Name.SCAM, Verdict.Name.LEGITIMATE}) {
            require(leaves.stream().anyMatch(leaf -> leaf.verdict == verdict), "has no labels for " + verdict);
        }
    }

    private void checkFormat(Object format) {
        if (format instanceof Double && (Double) format == FORMAT) return;
        String shown = "none that is known";
        String advice = "use one that `forewarn export` wrote";
        if (format instanceof Double) {
            double number = (Double) format;
            shown = number == Math.rint(number) ? String.valueOf((long) number) : String.valueOf(number);
            if (number > FORMAT) advice = "upgrade the forewarn client";
        }
        throw new BundleException(
                "bundle " + where + ": bundle format is " + shown + ", this version reads format " + FORMAT + "; "
                        + advice);
    }

    private double threshold(Map<?, ?> points, String name) {
        String what = "has no " + name + " threshold";
        return number(map(points.get(name), what).get("threshold"), what);
    }

    private Map<String, String> files(Map<?, ?> listed) {
        Map<String, String> found = new LinkedHashMap<>();
        for (Map.Entry<?, ?> entry : listed.entrySet()) {
            String name = (String) entry.getKey();
            require(isFileName(name), "lists a file outside the bundle");
            String what = "has no sha256 for " + name;
            found.put(name, text(map(entry.getValue(), what).get("sha256"), what));
        }
        for (String name : REQUIRED) require(found.containsKey(name), "does not list " + name);
        return Collections.unmodifiableMap(found);
    }

    /** Whether a name is that of a file within its folder. */
    static boolean isFileName(String name) {
        boolean inside = !name.isEmpty() && !name.equals(".") && !name.equals("..");
        for (char c : new char[] {'/', '\\', ':', '\0'}) inside &= name.indexOf(c) < 0;
        return inside;
    }

    private List<Verdict.Name> verdicts(List<?> names) {
        List<Verdict.Name> found = new ArrayList<>();
        for (Object name : names) found.add(verdict(name, "names an unknown verdict"));
        return Collections.unmodifiableList(found);
    }

    private List<Leaf> leaves(List<?> items) {
        List<Leaf> found = new ArrayList<>();
        String what = "has a label without name or levers";
        for (Object item : items) {
            Map<?, ?> leaf = map(item, what);
            String name = text(leaf.get("name"), what);
            List<String> levers = new ArrayList<>();
            for (Object lever : list(leaf.get("levers"), what)) levers.add(text(lever, what));
            Verdict.Name verdict = verdict(leaf.get("verdict"), "has no known verdict for " + name);
            require(verdicts.contains(verdict), "has no known verdict for " + name);
            found.add(new Leaf(name, verdict, Collections.unmodifiableList(levers)));
        }
        return Collections.unmodifiableList(found);
    }

    private Verdict.Name verdict(Object name, String what) {
        for (Verdict.Name known : Verdict.Name.values()) if (known.toString().equals(name)) return known;
        throw wrong(what);
    }

    private Map<?, ?> map(Object value, String what) {
        require(value instanceof Map, what);
        return (Map<?, ?>) value;
    }

    private List<?> list(Object value, String what) {
        require(value instanceof List, what);
        return (List<?>) value;
    }

    private String text(Object value, String what) {
        require(value instanceof String, what);
        return (String) value;
    }

    private double number(Object value, String what) {
        require(value instanceof Double, what);
        return (Double) value;
    }

    private void require(boolean condition, String what) {
        if (!condition) throw wrong(what);
    }

    private BundleException wrong(String what) {
        return new BundleException(
                "bundle " + where + ": manifest.json " + what + "; use a bundle that `forewarn export` wrote");
    }
}
