#include "kernels/cublas_algorithms.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/settings.h"

namespace trireme::kernels {
namespace {

namespace fs = std::filesystem;

/// FNV-1a over the numbers of a line, so that a cut or edited line is noticed.
uint64_t checksum(const MatmulKey& key, const MatmulAlgorithm& algorithm) {
  uint64_t hash = 14695981039346656037u;
  const auto mix = [&](uint64_t word) {
    for (int byte = 0; byte < 8; ++byte) {
      hash = (hash ^ (word >> (8 * byte) & 0xFF)) * 1099511628211u;
    }
  };
  for (int64_t word : key) mix(static_cast<uint64_t>(word));
  for (uint64_t word : algorithm) mix(word);
  return hash;
}

bool parse_line(const std::string& line, MatmulKey& key, MatmulAlgorithm& algorithm) {
  std::istringstream words(line);
  for (int64_t& word : key) words >> word;
  for (uint64_t& word : algorithm) words >> word;
  uint64_t sum = 0;
  std::string rest;
  return words >> sum && sum == checksum(key, algorithm) && !(words >> rest);
}

/// Holds the writers' lock beside the cache file. Readers need none: files are renamed into place.
class WriteLock {
 public:
  explicit WriteLock(const std::string& path)
      : file_(::open((path + ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666)) {
    if (file_ >= 0) ::flock(file_, LOCK_EX);
  }
  ~WriteLock() {
    if (file_ >= 0) ::close(file_);
  }
  WriteLock(const WriteLock&) = delete;

 private:
  int file_;
};

/// Letters and digits of a name, the rest as '-'.
std::string file_name_of(const std::string& name) {
  std::string text = name;
  for (char& c : text) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '-';
  }
  return text;
}

std::string directory_of_caches() {
  const std::string chosen = get_setting("TRIREME_CACHE_DIR");
  if (!chosen.empty()) return chosen;
  const auto in = [](const char* variable, const char* below) -> std::string {
    const char* value = std::getenv(variable);
    return value && *value ? std::string(value) + below : "";
  };
  const std::string xdg = in("XDG_CACHE_HOME", "/trireme");
  return xdg.empty() ? in("HOME", "/.cache/trireme") : xdg;
}

}  // namespace

MatmulAlgorithms::MatmulAlgorithms(std::string path, const std::string& gpu, size_t cublas_version)
    : path_(std::move(path)),
      header_(concat("trireme matmul algorithms 1, cuBLASLt ", cublas_version, ", ", gpu)) {
  const std::lock_guard lock(mutex_);
  entries_ = read();
}

std::optional<MatmulAlgorithm> MatmulAlgorithms::find(const MatmulKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto at = entries_.find(key);
  if (at == entries_.end()) return std::nullopt;
  return at->second;
}

void MatmulAlgorithms::insert(const MatmulKey& key, const MatmulAlgorithm& algorithm) {
  const std::lock_guard lock(mutex_);
  entries_[key] = algorithm;
  if (!path_.empty()) write();
}

MatmulAlgorithms::Entries MatmulAlgorithms::read() const {
  Entries entries;
  std::ifstream file(path_);
  std::string line;
  if (path_.empty() || !std::getline(file, line)) return entries;
  if (line != header_) {
    warn_once("is of another GPU, version or format");
    return {};
  }
  while (std::getline(file, line)) {
    MatmulKey key;
    MatmulAlgorithm algorithm;
    if (!parse_line(line, key, algorithm)) {
      warn_once("is damaged");
      return {};
    }
    entries[key] = algorithm;
  }
  return entries;
}

void MatmulAlgorithms::write() {
  std::error_code failed;
  fs::create_directories(fs::path(path_).parent_path(), failed);
  const WriteLock lock(path_);
  Entries all = read();
  for (const auto& [key, algorithm] : entries_) all[key] = algorithm;
  const std::string temporary = concat(path_, ".", ::getpid());
  std::ofstream file(temporary, std::ios::trunc);
  file << header_ << '\n';
  for (const auto& [key, algorithm] : all) {
    for (int64_t word : key) file << word << ' ';
    for (uint64_t word : algorithm) file << word << ' ';
    file << checksum(key, algorithm) << '\n';
  }
  file.close();
  if (file) fs::rename(temporary, path_, failed);
  if (!file || failed) {
    warn_once("cannot be written, so that algorithms are chosen anew in the next run");
    fs::remove(temporary, failed);
  }
}

void MatmulAlgorithms::warn_once(const std::string& text) const {
  if (warned_) return;
  warned_ = true;
  log_warning("matmul: the cache of algorithms ", path_, " ", text);
}

std::string MatmulAlgorithms::path_for(const std::string& gpu, size_t cublas_version) {
  const std::string directory = directory_of_caches();
  if (directory.empty()) return "";
  return concat(directory, "/matmul-", file_name_of(gpu), "-cublaslt-", cublas_version, ".txt");
}

MatmulAlgorithms& MatmulAlgorithms::of(const std::string& gpu, size_t cublas_version) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<MatmulAlgorithms>> caches;
  const std::lock_guard lock(mutex);
  auto& cache = caches[gpu];
  if (!cache) {
    cache = std::make_unique<MatmulAlgorithms>(path_for(gpu, cublas_version), gpu, cublas_version);
  }
  return *cache;
}

}  // namespace trireme::kernels
