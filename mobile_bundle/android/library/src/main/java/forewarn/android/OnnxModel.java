package forewarn.android;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import forewarn.client.BundleException;
import forewarn.client.ForewarnException;
import forewarn.client.Model;
import java.io.File;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * The bundle's model on ONNX Runtime; may be shared between threads.
 *
 * <p>{@link Forewarn} makes it, since ONNX Runtime's telemetry must be turned off before its library is loaded.
 */
final class OnnxModel implements Model, AutoCloseable {
    private static final String OUTPUT = "logits";

    private final OrtEnvironment environment;
    private final OrtSession session;
    /** Any number may run the model, and nobody while it is closed: the native session would be gone under a run. */
    private final ReadWriteLock open = new ReentrantReadWriteLock();

    private boolean isClosed;

    /**
     * Loads a model by its path, so that its 12 MB are not copied into Java's memory. On one thread: messages are
     * short, and more threads cost more than they bring.
     *
     * @param model {@code bundle.file("model.onnx")} of a checked bundle.
     * @throws BundleException if it is no model that this ONNX Runtime can run.
     */
    OnnxModel(File model) {
        environment = OrtEnvironment.getEnvironment();
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            environment.setTelemetry(false); // of one that the app itself loaded before
            options.setIntraOpNumThreads(1);
            // Its errors are thrown; in a log they would name ids of a message.
            options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
            session = environment.createSession(model.getPath(), options);
        } catch (OrtException e) {
            // Its message has several lines, and the places where ONNX Runtime was built.
            throw new BundleException(model + " cannot be loaded (" + e.getCode() + "); copy or download the bundle "
                    + "again, or use a newer ONNX Runtime");
        }
    }

    /**
     * The model's logits; see {@link Model#logits}.
     *
     * @throws ForewarnException if it is closed, the rows are not equally long, or ONNX Runtime cannot run it.
     */
    @Override
    public float[][] logits(long[][] ids, long[][] mask) {
        open.readLock().lock();
        try {
            if (isClosed) throw new ForewarnException("the model is closed; close it when nobody scores any more");
            return run(ids, mask);
        } catch (OrtException e) {
            throw new ForewarnException("the model cannot be run (" + e.getCode() + "); use another bundle");
        } finally {
            open.readLock().unlock();
        }
    }

    private float[][] run(long[][] ids, long[][] mask) throws OrtException {
        try (OnnxTensor idTensor = OnnxTensor.createTensor(environment, ids);
                OnnxTensor maskTensor = OnnxTensor.createTensor(environment, mask)) {
            Map<String, OnnxTensor> inputs = new HashMap<>();
            inputs.put("input_ids", idTensor);
            inputs.put("attention_mask", maskTensor);
            try (OrtSession.Result result = session.run(inputs, Collections.singleton(OUTPUT))) {
                return (float[][]) result.get(0).getValue();
            }
        }
    }

    /** Gives the native memory back, once who runs the model now is done. */
    @Override
    public void close() {
        open.writeLock().lock();
        try {
            if (!isClosed) session.close();
            isClosed = true;
        } catch (OrtException e) {
            throw new ForewarnException("the model cannot be closed (" + e.getCode() + "); leave it open");
        } finally {
            open.writeLock().unlock();
        }
    }
}
