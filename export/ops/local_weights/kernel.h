// LocalWeights: y[b, 0, r k + s, i, j] = softmax over r, s < k of sum_d q[b, d, i, j] * k[b, d, i + r, j + s], where
// the margin of k, half a window wide, weighs 0.
//
// The scores of one vector of columns are kept until their softmax is known; its lanes are positions, so that nothing
// is summed across a vector.

#pragma once

#include "../kernels/matrix.h"
#include "../kernels/scratch.h"

namespace ISA {

class LocalWeights {
 public:
  static constexpr const char* NAME = "LocalWeights";
  static constexpr size_t INPUTS = 2;

  explicit LocalWeights(const Attributes& attributes) : window_(attributes.integer("window")) {
    require(window_ >= 1 && window_ % 2 == 1, "window must be odd and at least 1");
  }

  template <class T>
  void compute(Context<T>& context) const {
    const auto q = context.input(0, 4), k = context.input(1, 4);
    const int64_t depth = q[1], height = q[2], width = q[3], places = window_ * window_;
    require(k[0] == q[0] && k[1] == depth && k[2] == height + window_ - 1 && k[3] == width + window_ - 1,
            "k must be q with half a window more on each side");
    T* y = context.output({q[0], 1, places, height, width});
    if (q[0] * height * width == 0) return;
    const Slots slots(q[0] * height, places * LANES);
    slots.each(context, [&](int64_t task, float* scores) {
      const int64_t batch = task / height, row = task % height;
      const Row<T> each{q.data + batch * depth * height * width + row * width,
                        k.data + batch * depth * k[2] * k[3] + row * k[3],
                        y + batch * places * height * width + row * width,
                        scores, depth, row, height, width, window_};
      across(width, [&](int64_t column, auto lanes) { each.template attend<decltype(lanes)::value>(column); });
    });
  }

 private:
  template <class T>
  struct Row {
    const T *q, *k;
    T* y;
    float* scores;  // (window * window, N)
    int64_t depth, row, height, width, window;

    template <int N>
    void attend(int64_t column) const {
      const int64_t plane = height * width, places = window * window;
      for (int64_t r = 0; r < window; ++r) {
        const int64_t at = row + r - window / 2;
        if (at >= 0 && at < height)
          score<N, 8>(column, r, 0);
        else
          std::fill_n(scores + r * window * N, window * N, -INFINITY);
      }
      Floats<N> largest = Floats<N>{} - INFINITY, sum{};
      for (int64_t place = 0; place < places; ++place) {
        const Floats<N> score = load<N>(scores + place * N);
        largest = score > largest ? score : largest;
      }
      for (int64_t place = 0; place < places; ++place) {
        const Floats<N> score = load<N>(scores + place * N);
        const Floats<N> weight = score == -INFINITY ? Floats<N>{} : exp<N>(score - largest);
        store<N>(scores + place * N, weight);
        sum += weight;
      }
      sum = 1 / sum;
      for (int64_t place = 0; place < places; ++place)
        store<N>(y + place * plane + column, load<N>(scores + place * N) * sum);
    }

    // Of a row of the window, from its place s on, M places at a time.
    template <int N, int M>
    void score(int64_t column, int64_t r, int64_t s) const {
      for (; s + M <= window; s += M) {
        Floats<N> sum[M] = {};
        const T *query = q + column, *key = k + r * (width + window - 1) + column + s;
        for (int64_t d = 0; d < depth; ++d) {
          const Floats<N> one = load<N>(query);
          for (int m = 0; m < M; ++m) sum[m] += one * load<N>(key + m);
          query += height * width;
          key += (height + window - 1) * (width + window - 1);
        }
        for (int m = 0; m < M; ++m) {
          Integers<N> at;  // columns of the map
          for (int lane = 0; lane < N; ++lane) at[lane] = int32_t(column + s + m - window / 2) + lane;
          const auto inside = (at >= 0) & (at < int32_t(width));
          store<N>(scores + (r * window + s + m) * N, inside ? sum[m] : Floats<N>{} - INFINITY);
        }
      }
      if constexpr (M > 1) score<N, M / 2>(column, r, s);
    }
  };

  int64_t window_;
};

}  // namespace ISA
