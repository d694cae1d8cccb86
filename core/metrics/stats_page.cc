#include "core/metrics/stats_page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <new>

#include "core/base/config.h"
#include "core/base/error.h"
#include "core/base/git_commit.h"
#include "core/base/shm_name.h"
#include "core/metrics/shm_page_file.h"
#include "core/metrics/stats_page_layout.h"

namespace trireme {
namespace {

[[noreturn]] void fail_io(const std::string& name, const char* action, int error) {
  throw IoError(concat("metrics: cannot ", action, " shared memory page ", name, ", got ",
                       std::strerror(error), error == ENOSPC ? "; /dev/shm is full" : ""));
}

template <size_t N>
void put_text(char (&to)[N], const std::string& text) {
  const size_t length = std::min(text.size(), N - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

/// Removes the page of that name if its owner has ended; throws IoError if it lives.
void remove_if_dead(const std::string& name) {
  const int fd = ::shm_open(name.c_str(), O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) {
    if (errno == ENOENT) return;
    fail_io(name, "open", errno);
  }
  // Holding the lock while removing keeps two successors from removing each other's page.
  const bool is_dead = lock_page(fd);
  if (is_dead && is_page_named(fd, name)) ::shm_unlink(name.c_str());
  ::close(fd);
  if (!is_dead) {
    throw IoError(concat("metrics: shared memory page ", name,
                         " must not be in use, but its owner is running; another run with the "
                         "same run id?"));
  }
}

int create_page(const std::string& name) {
  constexpr int kAttempts = 3;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int fd = ::shm_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) {
      if (lock_page(fd)) return fd;
      ::close(fd);  // a successor took this page for a dead one in the instant before the lock
    } else if (errno != EEXIST) {
      fail_io(name, "create", errno);
    }
    remove_if_dead(name);
  }
  fail_io(name, "create", EEXIST);
}

std::string local_host_name() {
  char text[256] = {};
  return ::gethostname(text, sizeof text - 1) == 0 ? text : "unknown";
}

}  // namespace

std::string stats_page_name(std::string_view run_id, int rank) {
  return concat("/", shm_name_prefix(run_id), "metrics-", rank);
}

StatsPage::StatsPage(const RankInfo& info) : name_(stats_page_name(info.run_id, info.rank)) {
  constexpr size_t kBytes = sizeof(StatsPageLayout);
  fd_ = create_page(name_);
  // Asking for the memory now makes a full /dev/shm an error here and not a signal later.
  int error = ::ftruncate(fd_, kBytes) == 0 ? ::posix_fallocate(fd_, 0, kBytes) : errno;
  void* memory = MAP_FAILED;
  if (error == 0) {
    memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (memory == MAP_FAILED) error = errno;
  }
  if (error != 0) {
    ::shm_unlink(name_.c_str());
    ::close(fd_);
    fail_io(name_, "fill", error);
  }
  page_ = new (memory) StatsPageLayout{};
  page_->version = kStatsPageVersion;
  page_->rank = info.rank;
  page_->world_size = info.world_size;
  page_->local_rank = info.local_rank;
  page_->pid = ::getpid();
  put_text(page_->run_id, info.run_id);
  put_text(page_->host, local_host_name());
  put_text(page_->build_version, kVersion);
  put_text(page_->git_commit, kGitCommit);
  statm_fd_ = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  stats_.world_size = info.world_size;
  publish();
  page_->magic.store(kStatsPageMagic, std::memory_order_release);
}

StatsPage::~StatsPage() {
  ::shm_unlink(name_.c_str());
  ::munmap(page_, sizeof(StatsPageLayout));
  if (statm_fd_ >= 0) ::close(statm_fd_);
  ::close(fd_);
}

void StatsPage::publish() {
  update_resident_bytes();
  uint64_t words[StatsPageLayout::kWords];
  std::memcpy(words, &stats_, sizeof words);
  const uint64_t next = page_->published.load(std::memory_order_relaxed) + 1;
  // Release on every word: a reader that sees one of them also sees that the copy it reads had been
  // superseded before, and tries again.
  for (size_t i = 0; i < StatsPageLayout::kWords; ++i) {
    page_->copies[next % 2][i].store(words[i], std::memory_order_release);
  }
  page_->published.store(next, std::memory_order_release);
}

void StatsPage::update_resident_bytes() {
  const int64_t now_ns = std::chrono::steady_clock::now().time_since_epoch().count();
  if (now_ns < resident_known_until_ns_ || statm_fd_ < 0) return;
  resident_known_until_ns_ = now_ns + 1'000'000'000;
  char text[128];
  const ssize_t length = ::pread(statm_fd_, text, sizeof text, 0);
  if (length <= 0) return;
  const char* end = text + length;
  const char* second = std::find(static_cast<const char*>(text), end, ' ');
  int64_t pages = 0;
  if (second != end && std::from_chars(second + 1, end, pages).ec == std::errc{}) {
    stats_.resident_bytes = pages * ::sysconf(_SC_PAGESIZE);
  }
}

}  // namespace trireme
