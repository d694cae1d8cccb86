#include "kernels/global_norm.h"

#include <algorithm>

#include "core/base/half.h"
#include "kernels/cuda/global_norm_body.h"
#include "kernels/rows.h"
#include "kernels/scratch.h"

namespace trireme::kernels {
namespace {

// Pieces that are summed on their own; many enough for any number of threads, and always the same.
constexpr int64_t kPiece = kSerialElements;

template <typename T>
double squares_of_piece(const T* x, int64_t count) {
  // Independent sums hide the latency of the additions and widen to f64 as they go.
  constexpr int64_t kSums = 32;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (int64_t j = 0; j < kSums; ++j) {
      const auto value = static_cast<double>(x[i + j]);
      sums[j] += value * value;
    }
  }
  for (; i < count; ++i) sums[0] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  double sum = 0;
  for (double s : sums) sum += s;
  return sum;
}

}  // namespace

template <typename T>
void add_sum_of_squares(Cpu, const T* x, int64_t count, double* sum) {
  const int64_t pieces = (count + kPiece - 1) / kPiece;
  double* partials = scratch<double>(Scratch::kPartials, pieces);
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      partials[p] = squares_of_piece(x + p * kPiece, std::min(kPiece, count - p * kPiece));
    }
  });
  for (int64_t p = 0; p < pieces; ++p) *sum += partials[p];
}

void norm_to_factor(Cpu, const double* sum, double loss_scale, double max_norm, double* norm,
                    double* factor, double otherwise) {
  *norm = std::sqrt(*sum) / loss_scale;
  *factor = factor_for(*norm, loss_scale, max_norm, otherwise);
}

template void add_sum_of_squares(Cpu, const float*, int64_t, double*);
template void add_sum_of_squares(Cpu, const double*, int64_t, double*);
template void add_sum_of_squares(Cpu, const BFloat16*, int64_t, double*);
template void add_sum_of_squares(Cpu, const Float16*, int64_t, double*);

}  // namespace trireme::kernels
