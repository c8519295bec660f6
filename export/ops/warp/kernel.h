// Warp: each position of the grid reads the map bilinearly between four of its positions.
//
// Where they lie is computed once for all channels, for one block of positions after the other. Neighbours in a row
// are read together. The arithmetic is that of PyTorch's grid_sample; a coordinate that is no number reads 0 of its
// axis, except with "zeros", where the answer is no number.

#pragma once

#include <cmath>

#include "../kernels/simd.h"

namespace ISA {

class Warp {
 public:
  static constexpr const char* NAME = "Warp";
  static constexpr size_t INPUTS = 2;

  explicit Warp(const Attributes& attributes) : corners_(attributes.integer("align_corners") != 0) {
    const std::string padding = attributes.text("padding_mode");
    require(padding == "zeros" || padding == "border" || padding == "reflection",
            "padding_mode must be zeros, border or reflection");
    clip_ = padding != "zeros";
    reflect_ = padding == "reflection";
  }

  template <class T>
  void compute(Context<T>& context) const {
    const auto x = context.input(0, 4), grid = context.input(1, 4);
    const int64_t channels = x[1], height = x[2], width = x[3], positions = grid[1] * grid[2];
    require(grid[0] == x[0] && grid[3] == 2, "grid must be (B, h, w, 2)");
    require(height > 0 && width > 0 && std::max(height, width) <= 1 << 24 && height * width <= INT32_MAX,
            "x must have 1 to 2^31 - 1 positions, and no side over 2^24");
    T* y = context.output({x[0], channels, grid[1], grid[2]});
    const int64_t blocks = ceil_div(positions, BLOCK);
    context.parallel(x[0] * blocks, [&](int64_t task) {
      const int64_t batch = task / blocks, first = task % blocks * BLOCK;
      const int count = int(std::min(BLOCK, positions - first));
      Neighbours block{};
      for (int p = 0; p < count; ++p) {
        const T* at = grid.data + 2 * (batch * positions + first + p);
        place(load_one(at), load_one(at + 1), int(height), int(width), p, block);
      }
      const T* plane = x.data + batch * channels * height * width;
      T* to = y + batch * channels * positions + first;
      for (int64_t channel = 0; channel < channels; ++channel, plane += height * width, to += positions)
        read(block, plane, to, count, height * width, positions);
    });
  }

 private:
  static constexpr int64_t BLOCK = 512;

  struct Neighbours {
    int32_t at[4][BLOCK];        // top left, top right, bottom left, bottom right; -1 outside of the map
    float weight[2][2 * BLOCK];  // left and right in turn: of the tops, of the bottoms
    bool beside[BLOCK / 4];      // some of four positions' neighbours lie outside
  };

  // From -1 ... 1 to 0 ... size - 1, and beyond with "zeros".
  float coordinate(float position, int size) const {
    float at = corners_ ? (position + 1) / 2 * float(size - 1) : ((position + 1) * float(size) - 1) / 2;
    if (reflect_) at = reflected(at, size);
    // in this order no number becomes 0
    return clip_ ? std::min(float(size - 1), std::max(0.0f, at)) : at;
  }

  float reflected(float at, int size) const {
    const float low = corners_ ? 0.0f : -0.5f, span = float(corners_ ? size - 1 : size);
    const float from_low = std::fabs(at - low);
    if (span == 0 || !(from_low < 1e9f)) return 0;  // further out no digit is left
    const float flips = std::floor(from_low / span), rest = from_low - flips * span;
    const bool even = std::floor(flips / 2) * 2 == flips;
    return low + (even ? rest : span - rest);
  }

  void place(float grid_x, float grid_y, int height, int width, int p, Neighbours& block) const {
    const float x = coordinate(grid_x, width), y = coordinate(grid_y, height);
    const float left = std::floor(x), top = std::floor(y);
    for (int corner = 0; corner < 4; ++corner) {
      const int right = corner & 1, bottom = corner >> 1;
      const float column = left + float(right), row = top + float(bottom);
      // false for no number too
      const bool inside = column >= 0 && column < float(width) && row >= 0 && row < float(height);
      block.beside[p / 4] |= !inside;
      block.at[corner][p] = inside ? int32_t(row) * width + int32_t(column) : -1;
      block.weight[bottom][2 * p + right] = (right ? x - left : 1 - (x - left)) * (bottom ? y - top : 1 - (y - top));
    }
  }

  template <class T>
  static void read(const Neighbours& block, const T* plane, T* to, int count, int64_t next, int64_t next_to) {
    int p = 0;
    for (; p + 4 <= count; p += 4) {
      // of the next channel, which lies too far off for the processor to foresee it
      __builtin_prefetch(plane + next + block.at[2][p]);
      __builtin_prefetch(to + next_to + p, 1);
      block.beside[p / 4] ? read_each(block, plane, to, p, p + 4) : read_four(block, plane, to, p);
    }
    read_each(block, plane, to, p, count);
  }

  template <class T>
  static void read_four(const Neighbours& block, const T* plane, T* to, int p) {
    Floats<4> sum[2] = {};  // of left and right in turn, for two positions each
    for (int half = 0; half < 2; ++half)
      for (int bottom = 0; bottom < 2; ++bottom) {
        const int32_t* at = block.at[2 * bottom] + p + 2 * half;
        sum[half] += load_pairs(plane + at[0], plane + at[1]) * load<4>(block.weight[bottom] + 2 * p + 4 * half);
      }
    store<4>(to + p, __builtin_shuffle(sum[0], sum[1], Integers<4>{0, 2, 4, 6}) +
                         __builtin_shuffle(sum[0], sum[1], Integers<4>{1, 3, 5, 7}));
  }

  template <class T>
  static void read_each(const Neighbours& block, const T* plane, T* to, int first, int end) {
    for (int p = first; p < end; ++p) {
      float sum = 0;
      for (int corner = 0; corner < 4; ++corner) {
        const int32_t at = block.at[corner][p];
        sum += block.weight[corner >> 1][2 * p + (corner & 1)] * (at >= 0 ? load_one(plane + at) : 0);
      }
      store<1>(to + p, Floats<1>{sum});
    }
  }

  bool corners_, clip_, reflect_;
};

}  // namespace ISA
