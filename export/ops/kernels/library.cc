// What ONNX Runtime calls when the library is registered with a session: adds the kernels that are fit for this
// processor. On one without AVX2 it adds none, and the operators' bodies run. REGARD_KERNELS=avx2 or none asks for less
// than the processor has.

#include <cstdlib>
#include <cstring>
#include <mutex>

#include "ort_api.h"

using AddTo = OrtStatus*(OrtCustomOpDomain*, const OrtApi&);

namespace avx2 {
AddTo add_to;
}
namespace avx512 {
AddTo add_to;
}

struct Kernels {
  AddTo* add_to;
  OrtCustomOpDomain* domain;  // lives as long as the library: sessions keep using it
};

static Kernels* fitting() {
  static Kernels avx2_kernels{avx2::add_to, nullptr}, avx512_kernels{avx512::add_to, nullptr};
  const char* asked = std::getenv("REGARD_KERNELS");
  const auto is = [&](const char* word) { return asked && std::strcmp(asked, word) == 0; };
  __builtin_cpu_init();
  // every processor with AVX2 has F16C
  if (is("none") || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return nullptr;
  return is("avx2") || !__builtin_cpu_supports("avx512f") ? &avx2_kernels : &avx512_kernels;
}

extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(
    OrtSessionOptions* options, const OrtApiBase* base) {
  static std::mutex one_at_a_time;
  const std::lock_guard<std::mutex> lock(one_at_a_time);
  const OrtApi* api = base->GetApi(ORT_API);
  Kernels* kernels = fitting();
  if (!api || !kernels) return nullptr;
  if (!kernels->domain) {
    OrtCustomOpDomain* domain = nullptr;
    if (OrtStatus* failed = api->CreateCustomOpDomain("regard", &domain)) return failed;
    if (OrtStatus* failed = kernels->add_to(domain, *api)) return failed;
    kernels->domain = domain;
  }
  return api->AddCustomOpDomain(options, kernels->domain);
}
