// CrissCross: softmax over the H + W - 1 positions in the row and the column of each position of q . k, applied to v.
//
//     1. in_column[w, h, h'] = sum_d q[d, h, w] k[d, h', w]     for each w a product of matrices
//     2. in_row[h, w, w']    = sum_d q[d, h, w] k[d, h, w']     for each h; and the softmax over both
//     3. y[h, w, c] = sum_w' in_row[h, w, w'] v[h, w', c] + sum_h' in_column[w, h, h'] v[h', w, c]
// for a group of channels at a time, that lies with its channels together meanwhile. This for one half of the rows h
// after the other: between the steps only half an image's weights are kept.

#pragma once

#include "../kernels/matrix.h"
#include "../kernels/scratch.h"

namespace ISA {

class CrissCross {
 public:
  static constexpr const char* NAME = "CrissCross";
  static constexpr size_t INPUTS = 3;

  explicit CrissCross(const Attributes&) {}

  template <class T>
  void compute(Context<T>& context) const {
    const auto q = context.input(0, 4), k = context.input(1, 4), v = context.input(2, 4);
    require(q.shape == k.shape, "q and k must have the same shape");
    require(v[0] == q[0] && v[2] == q[2] && v[3] == q[3], "v must have q's batch, height and width");
    T* y = context.output(v.shape);
    if (v[0] * v[1] * v[2] * v[3] == 0) return;
    const Image<T> image(context, q[1], v[1], q[2], q[3]);
    for (int64_t batch = 0; batch < v[0]; ++batch) {
      const int64_t queries = batch * q[1] * q[2] * q[3], values = batch * v[1] * v[2] * v[3];
      image.attend(q.data + queries, k.data + queries, v.data + values, y + values);
    }
  }

 private:
  template <class T>
  class Image {
   public:
    Image(const Context<T>& context, int64_t depth, int64_t channels, int64_t height, int64_t width)
        : context_(context), depth_(depth), channels_(channels), height_(height), width_(width),
          half_(ceil_div(height, 2)), columns_(width * half_ * height), rows_(half_ * width * width) {}

    void attend(const T* q, const T* k, const T* v, T* y) const {
      for (int64_t top = 0; top < height_; top += half_) {
        const int64_t rows = std::min(half_, height_ - top);
        score_columns(q, k, top, rows);
        score_rows(q, k, top, rows);
        gather(v, y, top, rows);
      }
    }

   private:
    static constexpr int64_t GROUP = 2 * LANES;  // channels
    static constexpr int64_t BLOCK = 32;         // columns of the map whose answers are held

    int64_t plane() const { return height_ * width_; }
    // of row h, counted from the half's first
    float* in_column(int64_t w, int64_t h) const { return columns_.data() + (w * half_ + h) * height_; }
    float* in_row(int64_t h, int64_t w) const { return rows_.data() + (h * width_ + w) * width_; }

    void score_columns(const T* q, const T* k, int64_t top, int64_t rows) const {
      const int64_t pitch = ceil_div(height_, LANES) * LANES, size = depth_ * pitch;
      const Slots slots(ceil_div(width_, LANES), 2 * LANES * size);
      slots.each(context_, [&](int64_t block, float* queries) {  // (LANES, D, pitch)
        float* keys = queries + LANES * size;
        const int64_t first = block * LANES, count = std::min<int64_t>(LANES, width_ - first);
        for (int64_t d = 0; d < depth_; ++d) {
          const int64_t column = d * plane() + first;
          transpose(q + column + top * width_, width_, rows, count, queries + d * pitch, size);
          transpose(k + column, width_, height_, count, keys + d * pitch, size);
        }
        for (int64_t i = 0; i < count; ++i) {
          multiply(queries + i * size, 1, pitch, rows, keys + i * size, pitch, height_, depth_,
                   in_column(first + i, 0), height_);
          for (int64_t h = 0; h < rows; ++h) in_column(first + i, h)[top + h] = -INFINITY;  // itself is in the row
        }
      });
    }

    void score_rows(const T* q, const T* k, int64_t top, int64_t rows) const {
      const int64_t pitch = ceil_div(width_, LANES) * LANES;
      const Slots slots(rows, 2 * depth_ * pitch);
      slots.each(context_, [&](int64_t h, float* query) {
        float* key = query + depth_ * pitch;
        for (int64_t d = 0; d < depth_; ++d) {
          const int64_t row = d * plane() + (top + h) * width_;
          copy(q + row, width_, query + d * pitch);
          copy(k + row, width_, key + d * pitch);
        }
        multiply(query, 1, pitch, width_, key, pitch, width_, depth_, in_row(h, 0), width_);
        for (int64_t w = 0; w < width_; ++w) softmax(in_column(w, h), height_, in_row(h, w), width_);
      });
    }

    void gather(const T* v, T* y, int64_t top, int64_t rows) const {
      const int64_t pitch = width_ | 1;  // an odd number of rows keeps columns apart in the cache
      const int64_t values = height_ * pitch * GROUP, answers = half_ * BLOCK * GROUP;
      const Slots slots(ceil_div(channels_, GROUP), values + answers);
      slots.each(context_, [&](int64_t group, float* value) {  // (H, pitch, GROUP)
        float* answer = value + values;                        // (rows, BLOCK, GROUP)
        const int64_t offset = group * GROUP * plane(), count = std::min(GROUP, channels_ - group * GROUP);
        if (count < GROUP) std::fill_n(value, values, 0.0f);
        for (int64_t h = 0; h < height_; ++h)
          transpose(v + offset + h * width_, plane(), count, width_, value + h * pitch * GROUP, GROUP);
        for (int64_t first = 0; first < width_; first += BLOCK) {
          const int64_t columns = std::min(BLOCK, width_ - first);
          for (int64_t h = 0; h < rows; ++h)
            multiply(in_row(h, first), width_, 1, columns, value + (top + h) * pitch * GROUP, GROUP, GROUP, width_,
                     answer + h * BLOCK * GROUP, GROUP);
          for (int64_t i = 0; i < columns; ++i)
            multiply<true>(in_column(first + i, 0), height_, 1, rows, value + (first + i) * GROUP, pitch * GROUP,
                           GROUP, height_, answer + i * GROUP, BLOCK * GROUP);
          for (int64_t h = 0; h < rows; ++h)
            transpose(answer + h * BLOCK * GROUP, GROUP, columns, count, y + offset + (top + h) * width_ + first,
                      plane());
        }
      });
    }

    const Context<T>& context_;
    int64_t depth_, channels_, height_, width_, half_;
    Scratch columns_, rows_;
  };
};

}  // namespace ISA
