// Memory of a call, aligned to cache lines and not initialized; pages that are not written cost nothing.

#pragma once

#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>

#include "custom_op.h"

namespace ISA {

class Scratch {
 public:
  explicit Scratch(int64_t floats)
      : data_(static_cast<float*>(std::aligned_alloc(64, size_t(floats * 4 + 63) / 64 * 64))) {
    if (!data_) throw std::bad_alloc();
  }
  float* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
};

// Tasks that need memory of their own, as many pieces of it as tasks may run at once.
class Slots {
 public:
  Slots(int64_t tasks, int64_t floats)
      : tasks_(tasks), floats_(ceil_div(floats, 16) * 16),
        slots_(std::min<int64_t>(tasks, std::max(1u, std::thread::hardware_concurrency()))),
        scratch_(slots_ * floats_) {}

  // task(index, its memory) for all of them.
  template <class T, class Task>
  void each(const Context<T>& context, const Task& task) const {
    std::atomic<int64_t> next{0};
    context.parallel(slots_, [&](int64_t slot) {
      for (int64_t index; (index = next++) < tasks_;) task(index, scratch_.data() + slot * floats_);
    });
  }

 private:
  int64_t tasks_, floats_, slots_;
  Scratch scratch_;
};

}  // namespace ISA
