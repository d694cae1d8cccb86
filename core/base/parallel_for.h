// Data-parallel loops of CPU kernels.
//
// Runs on the OpenMP pool, the one oneDNN uses too, so there is one set of threads per process.
// How many threads a process uses is decided once, by set_num_threads; a rank started by the
// launcher gets cores / ranks.

#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <exception>

namespace trireme {

/// Threads that parallel_for and oneDNN use from the calling thread on. Requires count >= 1.
void set_num_threads(int count);
int num_threads();

/// Calls fn(begin, end) on disjoint ranges that cover [0, count), at most one per thread, each at
/// least `grain` long. With one thread or one range it runs inline, without touching the pool.
/// What fn throws (the first, where several do) is thrown here once all ranges have ended. Ranges
/// depend only on count, grain and num_threads().
template <typename Fn>
void parallel_for(int64_t count, int64_t grain, const Fn& fn) {
  if (count <= 0) return;
  const int64_t most = grain > 0 ? (count + grain - 1) / grain : count;
  // Small loops must not even ask OpenMP: a tiny op costs less than the question.
  if (most <= 1) return fn(int64_t{0}, count);
  const int chunks = static_cast<int>(std::min<int64_t>(most, num_threads()));
  if (chunks <= 1 || omp_in_parallel()) return fn(int64_t{0}, count);
  std::exception_ptr error;
#pragma omp parallel num_threads(chunks)
  {
    const int64_t i = omp_get_thread_num();
    const int64_t n = omp_get_num_threads();
    const int64_t begin = count * i / n, end = count * (i + 1) / n;
    try {
      if (begin < end) fn(begin, end);
    } catch (...) {
#pragma omp critical(trireme_parallel_for)
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace trireme
