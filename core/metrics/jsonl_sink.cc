#include "core/metrics/jsonl_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/log.h"

namespace trireme {
namespace {

/// Length of the file without an unfinished last line.
off_t whole_lines_bytes(int fd, off_t size) {
  char block[4096];
  while (size > 0) {
    const off_t start = std::max<off_t>(0, size - static_cast<off_t>(sizeof block));
    const ssize_t got = ::pread(fd, block, static_cast<size_t>(size - start), start);
    if (got <= 0) return size;
    const std::string_view text(block, static_cast<size_t>(got));
    const size_t newline = text.rfind('\n');
    if (newline != text.npos) return start + static_cast<off_t>(newline) + 1;
    size = start;
  }
  return 0;
}

}  // namespace

JsonlSink::JsonlSink(std::string path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0644);
  struct stat file {};
  if (fd_ < 0 || ::fstat(fd_, &file) != 0 ||
      (S_ISREG(file.st_mode) && ::ftruncate(fd_, whole_lines_bytes(fd_, file.st_size)) != 0)) {
    const int error = errno;
    if (fd_ >= 0) ::close(fd_);
    throw IoError(concat("metrics: cannot write ", path_, ", got ", std::strerror(error)));
  }
}

JsonlSink::~JsonlSink() {
  if (fd_ >= 0) ::close(fd_);
}

void JsonlSink::write(const JsonField* begin, const JsonField* end) {
  if (fd_ < 0) return;
  nlohmann::ordered_json line = nlohmann::ordered_json::object();
  for (const JsonField* field = begin; field != end; ++field) {
    std::visit([&](const auto& value) { line[field->name] = value; }, field->value);
  }
  // Replacing bad UTF-8 keeps a line from throwing; NaN and infinities become null in dump().
  const std::string text =
      line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  const ssize_t written = ::write(fd_, text.data(), text.size());
  if (written == static_cast<ssize_t>(text.size())) return;
  log_warning("metrics: cannot write ", path_, ", got ",
              written < 0 ? std::strerror(errno) : "a partial line",
              "; no more lines are written to it");
  ::close(fd_);
  fd_ = -1;
}

}  // namespace trireme
