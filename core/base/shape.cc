#include "core/base/shape.h"

#include <algorithm>
#include <ostream>

#include "core/base/error.h"

namespace trireme {

Dims::Dims(std::span<const int64_t> values) : rank_(static_cast<int32_t>(values.size())) {
  require(values.size() <= kMaxRank, "shape", "at most ", kMaxRank, " dimensions, got ",
          values.size());
  std::copy(values.begin(), values.end(), values_);
}

Dims Dims::filled(int rank, int64_t value) {
  Dims dims;
  for (int i = 0; i < rank; ++i) dims.push_back(value);
  return dims;
}

void Dims::push_back(int64_t value) { insert(rank_, value); }

void Dims::insert(int at, int64_t value) {
  require(rank_ < kMaxRank, "shape", "at most ", kMaxRank, " dimensions, got one more than ",
          *this);
  std::copy_backward(values_ + at, values_ + rank_, values_ + rank_ + 1);
  values_[at] = value;
  ++rank_;
}

void Dims::erase(int at) {
  std::copy(values_ + at + 1, values_ + rank_, values_ + at);
  --rank_;
}

std::optional<int64_t> Dims::checked_product() const {
  int64_t n = 1;
  bool fits = true, empty = false;
  for (int64_t v : *this) {
    if (v < 0) return std::nullopt;
    empty = empty || v == 0;
    fits = !__builtin_mul_overflow(n, v, &n) && fits;
  }
  if (empty) return 0;
  return fits ? std::optional(n) : std::nullopt;
}

std::ostream& operator<<(std::ostream& out, const Dims& dims) {
  out << '[';
  for (int i = 0; i < dims.rank(); ++i) out << (i ? ", " : "") << dims[i];
  return out << ']';
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides = shape;
  int64_t next = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = next;
    next *= shape[i];
  }
  return strides;
}

bool is_contiguous(const Shape& shape, const Strides& strides) {
  int64_t next = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    if (shape[i] != 1 && strides[i] != next) return shape.product() == 0;
    next *= shape[i];
  }
  return true;
}

Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  if (a == b) return a;
  const int rank = std::max(a.rank(), b.rank());
  Shape out = Dims::filled(rank, 1);
  for (int i = 1; i <= rank; ++i) {
    const int64_t x = i <= a.rank() ? a[a.rank() - i] : 1;
    const int64_t y = i <= b.rank() ? b[b.rank() - i] : 1;
    require(x == y || x == 1 || y == 1, op, "shapes do not broadcast, lhs is ", a, " but rhs is ",
            b);
    out[rank - i] = x == 1 ? y : x;
  }
  return out;
}

Strides broadcast_strides(const Shape& shape, const Strides& strides, const Shape& target) {
  Strides out = Dims::filled(target.rank(), 0);
  const int lead = target.rank() - shape.rank();
  for (int i = 0; i < shape.rank(); ++i) {
    out[lead + i] = shape[i] == target[lead + i] ? strides[i] : 0;
  }
  return out;
}

int normalize_dim(const char* op, int dim, int rank) {
  require(dim >= -rank && dim < rank, op, "dimension must be in [", -rank, ", ", rank, "), got ",
          dim);
  return dim < 0 ? dim + rank : dim;
}

}  // namespace trireme
