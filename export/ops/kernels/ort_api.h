// What the kernels use of ONNX Runtime's C API, version 17, which every release since 1.17 answers for.
//
// Declared after onnxruntime_c_api.h of ONNX Runtime 1.17 (MIT License, Copyright (c) Microsoft Corporation): a table
// of functions never changes below the version that is asked for, so that the places of those used are enough.

#pragma once

#include <cstddef>
#include <cstdint>

constexpr uint32_t ORT_API = 17;

struct OrtCustomOpDomain;
struct OrtKernelContext;
struct OrtKernelInfo;
struct OrtSessionOptions;
struct OrtStatus;  // null where all went well
struct OrtTensorTypeAndShapeInfo;
struct OrtValue;
struct OrtCustomOp;

enum OrtErrorCode { ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2 };
enum ONNXTensorElementDataType { ONNX_FLOAT = 1, ONNX_FLOAT16 = 10 };

struct OrtApi {
  OrtStatus* (*CreateStatus)(OrtErrorCode, const char* message);
  void* unused_1[25];
  OrtStatus* (*CreateCustomOpDomain)(const char* name, OrtCustomOpDomain**);
  OrtStatus* (*CustomOpDomain_Add)(OrtCustomOpDomain*, const OrtCustomOp*);
  OrtStatus* (*AddCustomOpDomain)(OrtSessionOptions*, OrtCustomOpDomain*);
  void* unused_29[22];
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void**);
  void* unused_52[9];
  OrtStatus* (*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo*, size_t*);
  OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo*, int64_t*, size_t count);
  void* unused_63[2];
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo**);
  void* unused_66[20];
  OrtStatus* (*KernelInfoGetAttribute_int64)(const OrtKernelInfo*, const char* name, int64_t*);
  OrtStatus* (*KernelInfoGetAttribute_string)(const OrtKernelInfo*, const char* name, char*, size_t*);
  void* unused_88[2];
  OrtStatus* (*KernelContext_GetInput)(const OrtKernelContext*, size_t, const OrtValue**);
  OrtStatus* (*KernelContext_GetOutput)(OrtKernelContext*, size_t, const int64_t*, size_t count, OrtValue**);
  void* unused_92;
  void (*ReleaseStatus)(OrtStatus*);
  void* unused_94[5];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*);
  void* unused_100[174];
  OrtStatus* (*KernelContext_ParallelFor)(
      const OrtKernelContext*, void (*)(void*, size_t), size_t total, size_t batches, void*);
};

struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

struct OrtCustomOp {
  uint32_t version;
  void* unused_1;
  const char* (*GetName)(const OrtCustomOp*);
  const char* (*GetExecutionProviderType)(const OrtCustomOp*);
  ONNXTensorElementDataType (*GetInputType)(const OrtCustomOp*, size_t);
  size_t (*GetInputTypeCount)(const OrtCustomOp*);
  ONNXTensorElementDataType (*GetOutputType)(const OrtCustomOp*, size_t);
  size_t (*GetOutputTypeCount)(const OrtCustomOp*);
  void* unused_8;
  void (*KernelDestroy)(void* kernel);
  int (*GetInputCharacteristic)(const OrtCustomOp*, size_t);   // 0: required
  int (*GetOutputCharacteristic)(const OrtCustomOp*, size_t);
  int (*GetInputMemoryType)(const OrtCustomOp*, size_t);  // 0: the provider's own
  void* unused_13[4];  // of variadic inputs and outputs
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*, void** kernel);
  OrtStatus* (*KernelComputeV2)(void* kernel, OrtKernelContext*);
  void* unused_19;  // shapes are inferred from the operator's body
  int (*GetStartVersion)(const OrtCustomOp*);
  int (*GetEndVersion)(const OrtCustomOp*);
};

#define AT(table, name, place) static_assert(offsetof(table, name) == (place) * sizeof(void*), #name)
AT(OrtApi, CreateCustomOpDomain, 26);
AT(OrtApi, GetTensorMutableData, 51);
AT(OrtApi, GetDimensionsCount, 61);
AT(OrtApi, GetTensorTypeAndShape, 65);
AT(OrtApi, KernelInfoGetAttribute_int64, 86);
AT(OrtApi, KernelContext_GetInput, 90);
AT(OrtApi, ReleaseStatus, 93);
AT(OrtApi, ReleaseTensorTypeAndShapeInfo, 99);
AT(OrtApi, KernelContext_ParallelFor, 274);
AT(OrtCustomOp, KernelDestroy, 9);
AT(OrtCustomOp, CreateKernelV2, 17);
AT(OrtCustomOp, GetEndVersion, 21);
#undef AT
