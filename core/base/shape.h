// Shapes and strides: short lists of int64 that never allocate.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <optional>
#include <span>

namespace trireme {

/// Most dimensions a tensor can have.
inline constexpr int kMaxRank = 8;

/// Up to kMaxRank extents (or strides, in elements), stored inline. Prints as `[2, 3]`.
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<int64_t> values) : Dims(std::span(values.begin(), values.size())) {}
  explicit Dims(std::span<const int64_t> values);
  /// `rank` entries, all `value`.
  static Dims filled(int rank, int64_t value);

  int rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  int64_t operator[](int i) const { return values_[i]; }
  int64_t& operator[](int i) { return values_[i]; }
  const int64_t* begin() const { return values_; }
  const int64_t* end() const { return values_ + rank_; }
  int64_t back() const { return values_[rank_ - 1]; }
  int64_t& back() { return values_[rank_ - 1]; }

  /// Requires rank() < kMaxRank.
  void push_back(int64_t value);
  void insert(int at, int64_t value);
  void erase(int at);

  /// Product of the entries; 1 for rank 0.
  int64_t product() const {
    int64_t n = 1;
    for (int64_t v : *this) n *= v;
    return n;
  }

  /// The same, or nothing where an entry is negative or the product does not fit in an int64.
  std::optional<int64_t> checked_product() const;

  bool operator==(const Dims& other) const {
    if (rank_ != other.rank_) return false;
    for (int i = 0; i < rank_; ++i) {
      if (values_[i] != other.values_[i]) return false;
    }
    return true;
  }

 private:
  int32_t rank_ = 0;
  int64_t values_[kMaxRank];
};

using Shape = Dims;
using Strides = Dims;  // in elements, may be 0 (broadcast) but never negative

std::ostream& operator<<(std::ostream& out, const Dims& dims);

/// Strides of a dense row-major tensor: the last dimension is fastest.
Strides contiguous_strides(const Shape& shape);

/// True if the elements lie densely in row-major order (dimensions of extent 1 do not matter).
bool is_contiguous(const Shape& shape, const Strides& strides);

/// NumPy broadcasting of two shapes. Throws InvalidArgument naming `op` and both shapes.
Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b);

/// Strides that read a tensor of `shape`/`strides` as if it had shape `target` (0 where broadcast).
/// Requires that `shape` broadcasts to `target`.
Strides broadcast_strides(const Shape& shape, const Strides& strides, const Shape& target);

/// Maps a dimension in [-rank, rank) to [0, rank). Throws InvalidArgument naming `op`.
int normalize_dim(const char* op, int dim, int rank);

}  // namespace trireme
