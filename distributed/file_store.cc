#include "distributed/file_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "core/base/error.h"
#include "distributed/host_name.h"
#include "distributed/shared_memory.h"

namespace trireme {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr char kAborted[] = "aborted";
constexpr char kFormat[] = "trireme file store 1\n";
constexpr milliseconds kFirstNap{1}, kLongestNap{20};

[[noreturn]] void throw_system(const std::string& store, const std::string& what, int error) {
  throw CommError(CommError::Kind::kSystem,
                  concat(store, ": cannot ", what, ", ", std::strerror(error),
                         "; TRIREME_STORE must name a directory that every rank can write"));
}

// Naps that grow: what is awaited comes soon or late.
template <typename Look>
bool look_until(Clock::time_point deadline, const Look& look) {
  for (milliseconds nap = kFirstNap;; nap = std::min(nap * 2, kLongestNap)) {
    if (look()) return true;
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(nap);
  }
}

}  // namespace

FileStore::FileStore(std::string directory) : directory_(std::move(directory)) {
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error) throw_system(describe(), "create the directory", error.value());
  // Whoever comes first writes it; the same text written twice is the same text.
  const auto format = find("format");
  if (!format) {
    set("format", kFormat);
  } else if (*format != kFormat) {
    throw CommError(CommError::Kind::kMismatch,
                    concat(describe(), ": made by another version of Trireme ('", *format,
                           "'); use the same version on every rank, or another directory"));
  }
}

// Letters, digits, '-' and '_' stand for themselves, anything else for %XX.
std::string FileStore::path_of(const std::string& key) const {
  std::string name;
  for (const unsigned char c : key) {
    if (std::isalnum(c) || c == '-' || c == '_') {
      name += static_cast<char>(c);
    } else {
      char code[4];
      std::snprintf(code, sizeof code, "%%%02X", c);
      name += code;
    }
  }
  return directory_ + "/" + name;
}

void FileStore::set(const std::string& key, const std::string& value) {
  const std::string path = path_of(key);
  std::string draft = path + ".XXXXXX";
  const FileDescriptor file(mkostemp(draft.data(), O_CLOEXEC));
  if (!file) throw_system(describe(), "create " + draft, errno);
  for (size_t done = 0; done < value.size();) {
    const ssize_t n = write(file.get(), value.data() + done, value.size() - done);
    if (n < 0 && errno != EINTR) throw_system(describe(), "write " + draft, errno);
    done += n > 0 ? static_cast<size_t>(n) : 0;
  }
  if (std::rename(draft.c_str(), path.c_str()) != 0) {
    throw_system(describe(), "rename " + draft, errno);
  }
}

std::optional<std::string> FileStore::find(const std::string& key) {
  std::ifstream in(path_of(key), std::ios::binary);
  if (!in) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::string FileStore::get(const std::string& key, milliseconds timeout) {
  std::optional<std::string> value;
  if (look_until(Clock::now() + timeout, [&] { return (value = find(key)).has_value(); })) {
    return *value;
  }
  throw CommError(CommError::Kind::kTimeout,
                  concat(describe(), ": nobody set '", key, "' in ", timeout.count(), " ms"));
}

int64_t FileStore::add(const std::string& key, int64_t delta) {
  const std::string path = path_of(key) + ".lock";
  const FileDescriptor lock(open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  if (!lock || flock(lock.get(), LOCK_EX) != 0) throw_system(describe(), "lock " + path, errno);
  const std::string text = find(key).value_or("0");
  int64_t sum = 0;
  std::from_chars(text.data(), text.data() + text.size(), sum);
  sum += delta;
  set(key, std::to_string(sum));
  return sum;
}

void FileStore::abort(const std::string& reason) noexcept {
  try {
    set(kAborted, reason);
  } catch (const std::exception&) {
    // The peers' deadlines end them.
  }
}

std::vector<std::string> FileStore::gather(const std::string& name, int rank, int world_size,
                                           const std::string& mine, milliseconds timeout) {
  const auto key = [&](int r) { return concat(name, "/", r); };
  if (find(key(rank))) {
    throw CommError(CommError::Kind::kMismatch,
                    concat(describe(), ": rank ", rank, " is there already in '", name,
                           "'; two processes claim this rank, or the directory is left over from "
                           "another run: remove it"));
  }
  set(key(rank), mine);
  std::vector<std::optional<std::string>> found(static_cast<size_t>(world_size));
  std::vector<int> missing;
  const bool complete = look_until(Clock::now() + timeout, [&] {
    missing.clear();
    for (int r = 0; r < world_size; ++r) {
      auto& value = found[static_cast<size_t>(r)];
      if (!value) value = find(key(r));
      if (!value) missing.push_back(r);
    }
    // A gather that everybody has reached is complete, whatever came afterwards.
    if (missing.empty()) return true;
    if (stopped_) throw CommError(CommError::Kind::kAborted, describe() + ": stopped");
    if (const auto reason = find(kAborted)) throw CommError(CommError::Kind::kAborted, *reason);
    return false;
  });
  if (!complete) throw_missing_ranks(*this, name, rank, missing, timeout);
  std::vector<std::string> all;
  for (const auto& value : found) all.push_back(*value);
  return all;
}

}  // namespace trireme
