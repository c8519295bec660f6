// LocalAttention: y[b, c, i, j] = sum_{r, s < k} weights[b, c mod G, r k + s, i, j] * values[b, c, i + r, j + s]
//
// A tile, N columns of M channels that share their weights, stays in registers while the window is summed; each
// weight is read once for M channels.

#pragma once

#include "../kernels/simd.h"

namespace ISA {

class LocalAttention {
 public:
  static constexpr const char* NAME = "LocalAttention";
  static constexpr size_t INPUTS = 2;

  explicit LocalAttention(const Attributes& attributes) : window_(attributes.integer("window")) {
    require(window_ >= 1, "window must be at least 1");
  }

  template <class T>
  void compute(Context<T>& context) const {
    const auto values = context.input(0, 4), weights = context.input(1, 5);
    const int64_t channels = values[1], groups = weights[1], height = weights[3], width = weights[4];
    require(weights[0] == values[0] && weights[2] == window_ * window_, "weights must be (B, G, k * k, H, W)");
    require(groups > 0 && channels % groups == 0, "the groups must divide the channels");
    require(values[2] == height + window_ - 1 && values[3] == width + window_ - 1,
            "values must have half a window more than weights on each side");
    T* y = context.output({values[0], channels, height, width});
    const int64_t bands = ceil_div(height, ROWS), plane = height * width, value_plane = values[2] * values[3];
    context.parallel(values[0] * groups * bands, [&](int64_t task) {
      const int64_t batch = task / bands / groups, group = task / bands % groups, top = task % bands * ROWS;
      const Group<T> each{values.data + (batch * channels + group) * value_plane,
                          weights.data + (batch * groups + group) * window_ * window_ * plane,
                          y + (batch * channels + group) * plane,
                          channels / groups, groups * value_plane, groups * plane, values[3], plane, width, window_};
      for (int64_t row = top; row < std::min(top + ROWS, height); ++row)
        across(width, [&](int64_t column, auto lanes) { down<decltype(lanes)::value, 8>(each, row, column, 0); });
    });
  }

 private:
  static constexpr int64_t ROWS = 8;  // of a task

  template <class T>
  struct Group {  // the channels with the same weights
    const T *values, *weights;
    T* y;
    int64_t channels, value_step, y_step;  // from channel to channel
    int64_t value_row, plane, width, window;
  };

  template <int N, int M, class T>
  static void down(const Group<T>& group, int64_t row, int64_t column, int64_t channel) {
    for (; channel + M <= group.channels; channel += M) tile<N, M>(group, row, column, channel);
    if constexpr (M > 1) down<N, M / 2>(group, row, column, channel);
  }

  template <int N, int M, class T>
  static void tile(const Group<T>& group, int64_t row, int64_t column, int64_t channel) {
    const T* values = group.values + channel * group.value_step + row * group.value_row + column;
    const T* weights = group.weights + row * group.width + column;
    Floats<N> sum[M] = {};
    for (int64_t r = 0; r < group.window; ++r, values += group.value_row)
      for (int64_t s = 0; s < group.window; ++s, weights += group.plane) {
        const Floats<N> weight = load<N>(weights);
        __builtin_prefetch(weights + group.width);  // of the next row: the processor cannot foresee k * k sequences
        for (int m = 0; m < M; ++m) sum[m] += weight * load<N>(values + m * group.value_step + s);
      }
    T* y = group.y + channel * group.y_step + row * group.width + column;
    for (int m = 0; m < M; ++m) store<N>(y + m * group.y_step, sum[m]);
  }

  int64_t window_;
};

}  // namespace ISA
