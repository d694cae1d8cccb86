// Which algorithm was fastest for a matmul, kept on disk from run to run.
//
// One text file per GPU model and cuBLASLt version, below TRIREME_CACHE_DIR, else
// $XDG_CACHE_HOME/trireme, else ~/.cache/trireme. A line is a shape, an algorithm and a checksum.
// Writers take turns (flock), merge with what others wrote, and rename a complete file into place,
// so readers never see half of one. A file that is damaged, or of another GPU or version, is left
// out of account with one warning, and replaced by the next write.

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace trireme::kernels {

/// Everything about a product that the choice of its algorithm depends on.
using MatmulKey = std::array<int64_t, 17>;

/// cuBLASLt's opaque description of an algorithm.
using MatmulAlgorithm = std::array<uint64_t, 8>;

class MatmulAlgorithms {
 public:
  /// `path` may be empty: then nothing is read or written.
  MatmulAlgorithms(std::string path, const std::string& gpu, size_t cublas_version);

  std::optional<MatmulAlgorithm> find(const MatmulKey& key) const;
  /// Also writes the file. Failure to do so is one warning, not an error.
  void insert(const MatmulKey& key, const MatmulAlgorithm& algorithm);

  /// The cache of this GPU model in this process: read in the first call. Thread-safe, as are the
  /// members.
  static MatmulAlgorithms& of(const std::string& gpu, size_t cublas_version);
  /// The file for a GPU model, or "" where there is no directory for it (no HOME).
  static std::string path_for(const std::string& gpu, size_t cublas_version);

 private:
  using Entries = std::map<MatmulKey, MatmulAlgorithm>;
  Entries read() const;
  void write();
  void warn_once(const std::string& text) const;

  const std::string path_;
  const std::string header_;  // first line of the file: format, GPU, version
  mutable std::mutex mutex_;
  Entries entries_;              // guarded by mutex_
  mutable bool warned_ = false;  // guarded by mutex_
};

}  // namespace trireme::kernels
