package forewarn.client;

/** Runs the bundle's model.onnx; the library's {@code OnnxModel} does so on ONNX Runtime. */
public interface Model {
    /**
     * The model's output {@code logits} for rows of ids. May be called from several threads at once.
     *
     * @param ids input {@code input_ids}, one row a message or window of one, all rows equally long.
     * @param mask input {@code attention_mask}, of the same shape.
     * @return a row for each of these, one logit a label of the bundle.
     */
    float[][] logits(long[][] ids, long[][] mask);
}
