// The kernels for one set of instructions: compiled once for each, as namespace ISA.

#include "../criss_cross/kernel.h"
#include "../local_attention/kernel.h"
#include "../local_weights/kernel.h"
#include "../warp/kernel.h"

namespace ISA {

// Adds every operator, for float and for half, to a domain.
OrtStatus* add_to(OrtCustomOpDomain* domain, const OrtApi& api) {
  static const CustomOp<LocalAttention, float> local_attention;
  static const CustomOp<LocalAttention, Half> local_attention_half;
  static const CustomOp<LocalWeights, float> local_weights;
  static const CustomOp<LocalWeights, Half> local_weights_half;
  static const CustomOp<CrissCross, float> criss_cross;
  static const CustomOp<CrissCross, Half> criss_cross_half;
  static const CustomOp<Warp, float> warp;
  static const CustomOp<Warp, Half> warp_half;
  for (const OrtCustomOp* op : {static_cast<const OrtCustomOp*>(&local_attention),
                                static_cast<const OrtCustomOp*>(&local_attention_half),
                                static_cast<const OrtCustomOp*>(&local_weights),
                                static_cast<const OrtCustomOp*>(&local_weights_half),
                                static_cast<const OrtCustomOp*>(&criss_cross),
                                static_cast<const OrtCustomOp*>(&criss_cross_half),
                                static_cast<const OrtCustomOp*>(&warp), static_cast<const OrtCustomOp*>(&warp_half)})
    if (OrtStatus* failed = api.CustomOpDomain_Add(domain, op)) return failed;
  return nullptr;
}

}  // namespace ISA
