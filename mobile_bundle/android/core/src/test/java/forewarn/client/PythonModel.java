package forewarn.client;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/** The bundle's real model, on Python's ONNX Runtime in a process beside the tests. */
final class PythonModel implements Model, AutoCloseable {
    private final Process process;
    private final BufferedWriter in;
    private final BufferedReader out;

    PythonModel(File model) throws IOException {
        process = new ProcessBuilder(
                        System.getProperty("python", ".venv/bin/python"),
                        "mobile_bundle/android/core/src/test/python/run_model.py",
                        model.getPath())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        in = new BufferedWriter(new OutputStreamWriter(process.getOutputStream(), StandardCharsets.UTF_8));
        out = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    }

    @Override
    public synchronized float[][] logits(long[][] ids, long[][] mask) {
        try {
            in.write("{\"ids\": " + Arrays.deepToString(ids) + ", \"mask\": " + Arrays.deepToString(mask) + "}\n");
            in.flush();
            String line = out.readLine();
            if (line == null) throw new IllegalStateException("run_model.py ended; its error stands above");
            List<?> rows = (List<?>) Json.parse(line);
            float[][] logits = new float[rows.size()][];
            for (int i = 0; i < logits.length; i++) {
                List<?> row = (List<?>) rows.get(i);
                logits[i] = new float[row.size()];
                for (int j = 0; j < row.size(); j++) logits[i][j] = ((Double) row.get(j)).floatValue();
            }
            return logits;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() throws IOException {
        in.close();
        process.destroy();
    }
}
