// Vectors of N floats as the compiler's own types, and how they are read and written.

#pragma once

#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "custom_op.h"

namespace ISA {

#ifdef __AVX512F__
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif

template <int N>
struct Vector {
  typedef float Floats __attribute__((vector_size(4 * N)));
  typedef int32_t Integers __attribute__((vector_size(4 * N)));
};
template <int N>
using Floats = typename Vector<N>::Floats;
template <int N>
using Integers = typename Vector<N>::Integers;

template <int N>
inline Floats<N> load(const float* from) {
  Floats<N> vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

template <int N>
inline void store(float* to, Floats<N> vector) {
  std::memcpy(to, &vector, sizeof vector);
}

template <int N>
inline Floats<N> load(const Half* from) {
  if constexpr (N == 1) {
    return Floats<N>{_cvtsh_ss(from->bits)};
  } else if constexpr (N == 4) {
    return Floats<N>(_mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
  } else if constexpr (N == 8) {
    return Floats<N>(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
  } else {
#ifdef __AVX512F__
    return Floats<N>(_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))));
#endif
  }
}

template <int N>
inline void store(Half* to, Floats<N> vector) {
  constexpr int NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  if constexpr (N == 1) {
    to->bits = _cvtss_sh(vector[0], _MM_FROUND_TO_NEAREST_INT);
  } else if constexpr (N == 4) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_cvtps_ph(__m128(vector), NEAREST));
  } else if constexpr (N == 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(__m256(vector), NEAREST));
  } else {
#ifdef __AVX512F__
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtps_ph(__m512(vector), NEAREST));
#endif
  }
}

template <class T>
inline float load_one(const T* from) {
  return load<1>(from)[0];
}

// work(column, N) for vectors of N columns that cover `width`, the last overlapping the one before it; N, as a type, is
// the widest that fits.
template <int N = LANES, class Work>
inline void across(int64_t width, const Work& work) {
  if constexpr (N > 1)
    if (width < N) return across<(N > 4 ? N / 2 : 1)>(width, work);
  for (int64_t column = 0; column < width; column += N)
    work(std::min(column, width - N), std::integral_constant<int, N>());
}

// The first `count` of a vector, 1 to LANES; the others are `rest`.
inline Floats<LANES> load_some(const float* from, int64_t count, float rest = 0) {
  if (count == LANES) return load<LANES>(from);
  float some[LANES];
  std::fill_n(some, LANES, rest);
  std::memcpy(some, from, count * sizeof *some);
  return load<LANES>(some);
}

inline Floats<LANES> load_some(const Half* from, int64_t count) {
  if (count == LANES) return load<LANES>(from);
  Half some[LANES] = {};
  std::memcpy(some, from, count * sizeof *some);
  return load<LANES>(some);
}

template <class T>
inline void store_some(T* to, int64_t count, Floats<LANES> vector) {
  if (count == LANES) return store<LANES>(to, vector);
  T some[LANES];
  store<LANES>(some, vector);
  std::memcpy(to, some, count * sizeof(T));
}

// a[0], a[1], b[0], b[1].
inline Floats<4> load_pairs(const float* a, const float* b) {
  double pairs[2];
  std::memcpy(&pairs[0], a, sizeof *pairs);
  std::memcpy(&pairs[1], b, sizeof *pairs);
  return Floats<4>(__m128d{pairs[0], pairs[1]});
}

inline Floats<4> load_pairs(const Half* a, const Half* b) {
  int32_t low, high;
  std::memcpy(&low, a, sizeof low);
  std::memcpy(&high, b, sizeof high);
  return Floats<4>(_mm_cvtph_ps(_mm_set_epi32(0, 0, high, low)));
}

inline int64_t ceil_div(int64_t total, int64_t size) { return (total + size - 1) / size; }

}  // namespace ISA
