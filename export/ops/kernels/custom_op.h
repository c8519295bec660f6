// A kernel as ONNX Runtime sees it. A kernel is a class with
//
//     static constexpr const char* NAME; static constexpr size_t INPUTS;
//     explicit Kernel(const Attributes&);
//     template <class T> void compute(Context<T>&) const;    T: float or Half
//
// What it throws becomes the runtime's error.

#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "ort_api.h"

namespace ISA {

struct Half {
  uint16_t bits;
};

using Shape = std::vector<int64_t>;

inline void require(bool fulfilled, const char* rule) {
  if (!fulfilled) throw std::invalid_argument(rule);
}

// Of a call of the runtime that nothing but a fault of ours makes fail.
inline void check(const OrtApi& api, OrtStatus* status) {
  if (!status) return;
  api.ReleaseStatus(status);
  throw std::runtime_error("a call of ONNX Runtime failed");
}

class Attributes {
 public:
  Attributes(const OrtApi& api, const OrtKernelInfo* info) : api_(api), info_(info) {}

  int64_t integer(const char* name) const {
    int64_t value = 0;
    found(name, api_.KernelInfoGetAttribute_int64(info_, name, &value));
    return value;
  }

  std::string text(const char* name) const {
    char value[32];
    size_t size = sizeof value;
    found(name, api_.KernelInfoGetAttribute_string(info_, name, value, &size));
    return value;
  }

 private:
  void found(const char* name, OrtStatus* status) const {
    if (!status) return;
    api_.ReleaseStatus(status);
    throw std::invalid_argument(std::string("there is no valid attribute ") + name);
  }

  const OrtApi& api_;
  const OrtKernelInfo* info_;
};

template <class T>
struct Tensor {
  T* data;
  Shape shape;

  int64_t operator[](size_t axis) const { return shape[axis]; }
};

// Inputs, output and threads of one call.
template <class T>
class Context {
 public:
  Context(const OrtApi& api, OrtKernelContext* context) : api_(api), context_(context) {}

  Tensor<const T> input(size_t index, size_t rank) const {
    const OrtValue* value = nullptr;
    check(api_, api_.KernelContext_GetInput(context_, index, &value));
    OrtTensorTypeAndShapeInfo* info = nullptr;
    check(api_, api_.GetTensorTypeAndShape(value, &info));
    std::unique_ptr<OrtTensorTypeAndShapeInfo, decltype(api_.ReleaseTensorTypeAndShapeInfo)> owner(
        info, api_.ReleaseTensorTypeAndShapeInfo);
    size_t found = 0;
    check(api_, api_.GetDimensionsCount(info, &found));
    require(found == rank, "an input has another number of dimensions than it should");
    Shape shape(rank);
    check(api_, api_.GetDimensions(info, shape.data(), rank));
    return {static_cast<const T*>(data(const_cast<OrtValue*>(value))), shape};
  }

  T* output(const Shape& shape) {
    OrtValue* value = nullptr;
    check(api_, api_.KernelContext_GetOutput(context_, 0, shape.data(), shape.size(), &value));
    return static_cast<T*>(data(value));
  }

  // task(0) ... task(count - 1), in any order, on the session's threads; it must not throw.
  template <class Task>
  void parallel(int64_t count, const Task& task) const {
    if (count <= 0) return;
    auto call = [](void* each, size_t index) { (*static_cast<const Task*>(each))(int64_t(index)); };
    check(api_, api_.KernelContext_ParallelFor(context_, call, size_t(count), 0, const_cast<Task*>(&task)));
  }

 private:
  void* data(OrtValue* value) const {
    void* data = nullptr;
    check(api_, api_.GetTensorMutableData(value, &data));
    return data;
  }

  const OrtApi& api_;
  OrtKernelContext* context_;
};

template <class Kernel, class T>
struct CustomOp : OrtCustomOp {
  static constexpr auto TYPE = sizeof(T) == sizeof(float) ? ONNX_FLOAT : ONNX_FLOAT16;

  struct Instance {
    const OrtApi& api;
    Kernel kernel;
  };

  // The call's result, or what it threw as the runtime's error.
  template <class Call>
  static OrtStatus* guarded(const OrtApi& api, const Call& call) {
    try {
      call();
      return nullptr;
    } catch (const std::invalid_argument& error) {
      return api.CreateStatus(ORT_INVALID_ARGUMENT, (std::string(Kernel::NAME) + ": " + error.what()).c_str());
    } catch (const std::exception& error) {
      return api.CreateStatus(ORT_FAIL, (std::string(Kernel::NAME) + ": " + error.what()).c_str());
    }
  }

  CustomOp() : OrtCustomOp{} {
    version = ORT_API;
    GetName = [](const OrtCustomOp*) { return Kernel::NAME; };
    GetExecutionProviderType = [](const OrtCustomOp*) { return "CPUExecutionProvider"; };
    GetInputTypeCount = [](const OrtCustomOp*) { return Kernel::INPUTS; };
    GetInputType = [](const OrtCustomOp*, size_t) { return TYPE; };
    GetOutputTypeCount = [](const OrtCustomOp*) { return size_t(1); };
    GetOutputType = [](const OrtCustomOp*, size_t) { return TYPE; };
    GetInputCharacteristic = GetOutputCharacteristic = GetInputMemoryType =
        [](const OrtCustomOp*, size_t) { return 0; };
    GetStartVersion = [](const OrtCustomOp*) { return 1; };
    GetEndVersion = [](const OrtCustomOp*) { return 1; };
    CreateKernelV2 = [](const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo* info, void** kernel) {
      return guarded(*api, [&] { *kernel = new Instance{*api, Kernel(Attributes(*api, info))}; });
    };
    KernelComputeV2 = [](void* kernel, OrtKernelContext* context) {
      auto& [api, self] = *static_cast<Instance*>(kernel);
      return guarded(api, [&, &api = api, &self = self] {
        Context<T> call(api, context);
        self.compute(call);
      });
    };
    KernelDestroy = [](void* kernel) { delete static_cast<Instance*>(kernel); };
  }
};

}  // namespace ISA
