/** onnxruntime-node, taking models as onnxruntime-react-native 1.24 does: of bytes the whole buffer, and no options. */

import * as onnx from "onnxruntime-node";

export const { Tensor } = onnx;

export const InferenceSession = {
  create: (model: string | Uint8Array, options: onnx.InferenceSession.SessionOptions) =>
    typeof model === "string"
      ? onnx.InferenceSession.create(model, options)
      : onnx.InferenceSession.create(new Uint8Array(model.buffer), { intraOpNumThreads: 1, logSeverityLevel: 3 }),
};
