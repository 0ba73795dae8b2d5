// SwiftPM wants a source file in every C target; the code is in ONNX Runtime.
