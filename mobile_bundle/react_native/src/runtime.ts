import type { OnnxRuntime } from "@forewarn/client";
import * as onnx from "onnxruntime-react-native";

/**
 * onnxruntime-react-native as the core wants it.
 *
 * Its native code (1.24) reads a model from the whole buffer under the bytes, wherever in it they lie, and takes the
 * options only together with a path. So bytes that are a part of a buffer are copied out of it here.
 *
 * @param modelPath - where the runtime shall read the model instead of taking the checked bytes.
 */
export function reactNativeRuntime(modelPath?: string): OnnxRuntime {
  const create = (
    model: Uint8Array,
    options: onnx.InferenceSession.SessionOptions,
  ): Promise<onnx.InferenceSession> => {
    if (modelPath !== undefined) return onnx.InferenceSession.create(modelPath, options);
    const whole = model.byteLength === model.buffer.byteLength ? model : model.slice();
    return onnx.InferenceSession.create(whole, options);
  };
  // The core calls this form of `create` and no other.
  return { Tensor: onnx.Tensor, InferenceSession: { create } as OnnxRuntime["InferenceSession"] };
}
