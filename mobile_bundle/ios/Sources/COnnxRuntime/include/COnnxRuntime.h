// ONNX Runtime's C API as a module that Swift can import.
#include <onnxruntime/onnxruntime_c_api.h>
