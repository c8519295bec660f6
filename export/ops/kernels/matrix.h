// Matrices in memory: products, transposition, softmax. A matrix is a pointer to its first number and the distance
// from row to row.

#pragma once

#include <cmath>

#include "simd.h"

namespace ISA {

// M rows and N vectors of a product, see `multiply`; `columns` is what is left of them.
template <bool ADD, int M, int N>
inline void multiply_tile(const float* a, int64_t a_row, int64_t a_column, const float* b, int64_t b_row,
                          int64_t columns, int64_t depth, float* c, int64_t c_row) {
  Floats<LANES> sum[M][N] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Floats<LANES> right[N];
    for (int j = 0; j < N; ++j) right[j] = load<LANES>(b + k * b_row + j * LANES);
    for (int i = 0; i < M; ++i)
      for (int j = 0; j < N; ++j) sum[i][j] += a[i * a_row + k * a_column] * right[j];
  }
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < N; ++j) {
      float* to = c + i * c_row + j * LANES;
      const int64_t count = std::min<int64_t>(LANES, columns - j * LANES);
      store_some(to, count, ADD ? load_some(to, count) + sum[i][j] : sum[i][j]);
    }
}

template <bool ADD, int M, int N>
inline void multiply_rows(const float* a, int64_t a_row, int64_t a_column, int64_t rows, const float* b, int64_t b_row,
                          int64_t columns, int64_t depth, float* c, int64_t c_row) {
  int64_t row = 0;
  for (; row + M <= rows; row += M)
    multiply_tile<ADD, M, N>(a + row * a_row, a_row, a_column, b, b_row, columns, depth, c + row * c_row, c_row);
  if constexpr (M > 1)
    multiply_rows<ADD, M / 2, N>(a + row * a_row, a_row, a_column, rows - row, b, b_row, columns, depth,
                                 c + row * c_row, c_row);
}

// c = a b, or c += a b: a (rows, depth) with any distances, b (depth, columns) in whole vectors, c (rows, columns).
template <bool ADD = false>
inline void multiply(const float* a, int64_t a_row, int64_t a_column, int64_t rows, const float* b, int64_t b_row,
                     int64_t columns, int64_t depth, float* c, int64_t c_row) {
  constexpr int M = LANES / 2;  // with two vectors each they fit into half of the registers
  int64_t column = 0;
  for (; column + LANES < columns; column += 2 * LANES)
    multiply_rows<ADD, M, 2>(a, a_row, a_column, rows, b + column, b_row, columns - column, depth, c + column, c_row);
  if (column < columns)
    multiply_rows<ADD, M, 1>(a, a_row, a_column, rows, b + column, b_row, columns - column, depth, c + column, c_row);
}

// Into whole vectors, the last filled with 0.
template <class T>
inline void copy(const T* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; i += LANES)
    store<LANES>(to + i, load_some(from + i, std::min<int64_t>(LANES, count - i)));
}

// One step of a transposition: of each square of 2 STEP x 2 STEP the quarters right above and left below change places.
template <int STEP>
inline void swap_quarters(Floats<LANES> (&square)[LANES]) {
  Integers<LANES> above{}, below{};
  for (int lane = 0; lane < LANES; ++lane) {
    above[lane] = lane & STEP ? lane - STEP + LANES : lane;
    below[lane] = lane & STEP ? lane + LANES : lane + STEP;
  }
#pragma GCC unroll 16
  for (int i = 0; i < LANES; ++i)
    if (!(i & STEP)) {
      const Floats<LANES> one = square[i], other = square[i + STEP];
      square[i] = __builtin_shuffle(one, other, above);
      square[i + STEP] = __builtin_shuffle(one, other, below);
    }
  if constexpr (2 * STEP < LANES) swap_quarters<2 * STEP>(square);
}

template <bool WHOLE, class T, class U>
inline void transpose_square(const T* from, int64_t from_row, int64_t rows, int64_t columns, U* to, int64_t to_row) {
  Floats<LANES> square[LANES];
#pragma GCC unroll 16
  for (int i = 0; i < LANES; ++i)
    square[i] = WHOLE ? load<LANES>(from + i * from_row)
                      : i < rows ? load_some(from + i * from_row, columns) : Floats<LANES>{};
  swap_quarters<1>(square);
#pragma GCC unroll 16
  for (int j = 0; j < LANES; ++j) {
    if (WHOLE) store<LANES>(to + j * to_row, square[j]);
    if (!WHOLE && j < columns) store_some(to + j * to_row, rows, square[j]);
  }
}

// to[j, i] = from[i, j]
template <class T, class U>
inline void transpose(const T* from, int64_t from_row, int64_t rows, int64_t columns, U* to, int64_t to_row) {
  for (int64_t i = 0; i < rows; i += LANES)
    for (int64_t j = 0; j < columns; j += LANES) {
      const int64_t height = std::min<int64_t>(LANES, rows - i), width = std::min<int64_t>(LANES, columns - j);
      (height == LANES && width == LANES ? transpose_square<true, T, U> : transpose_square<false, T, U>)(
          from + i * from_row + j, from_row, height, width, to + j * to_row + i, to_row);
    }
}

// exp(x) for x <= 0, below -87 a little over 0; relative error 2e-7.
template <int N>
inline Floats<N> exp(Floats<N> x) {
  constexpr float ROUND = 12582912;  // 1.5 * 2^23: adding it leaves the nearest integer in the lowest bits
  x = x < -87.0f ? Floats<N>{} - 87.0f : x;
  const Floats<N> shifted = x * 1.44269504f + ROUND, power = shifted - ROUND;
  const Floats<N> r = (x - power * 0.693359375f) + power * 2.12194440e-4f;  // ln 2 in two parts
  Floats<N> sum = Floats<N>{} + 1.9875691500e-4f;
  for (float coefficient : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    sum = sum * r + coefficient;
  sum = sum * r * r + r + 1;
  return Floats<N>(Integers<N>(sum) + (Integers<N>(shifted) << 23));
}

// Of two lists as if they were one.
inline void softmax(float* one, int64_t ones, float* other, int64_t others) {
  const auto each = [&](auto change) {
    for (const auto& [list, count] : {std::pair(one, ones), std::pair(other, others)})
      for (int64_t i = 0; i < count; i += LANES) {
        const int64_t some = std::min<int64_t>(LANES, count - i);
        store_some(list + i, some, change(load_some(list + i, some, -INFINITY)));
      }
  };
  Floats<LANES> largest = Floats<LANES>{} - INFINITY, sum{};
  each([&](auto score) { return largest = score > largest ? score : largest, score; });
  float most = largest[0], total = 0;
  for (int lane = 1; lane < LANES; ++lane) most = std::max(most, largest[lane]);
  each([&](auto score) { return score = exp<LANES>(score - most), sum += score, score; });
  for (int lane = 0; lane < LANES; ++lane) total += sum[lane];
  each([&](auto score) { return score * (1 / total); });
}

}  // namespace ISA
