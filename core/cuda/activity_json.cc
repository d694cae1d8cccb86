#include "core/cuda/activity_json.h"

#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "core/base/error.h"

namespace trireme::cuda {
namespace {

// The layouts that a toolkit's CUPTI writes.
#if CUPTI_API_VERSION >= 130000
using Kernel = CUpti_ActivityKernel10;
using Memcpy = CUpti_ActivityMemcpy6;
#else
using Kernel = CUpti_ActivityKernel9;
using Memcpy = CUpti_ActivityMemcpy5;
#endif
using Memset = CUpti_ActivityMemset4;

// Device streams are threads 1000 and on, so that they stand apart from the host's.
constexpr uint64_t kFirstStream = 1000;

/// Nanoseconds as the microseconds of the format.
std::string microseconds(uint64_t ns) {
  char text[40];
  std::snprintf(text, sizeof text, "%.3f", static_cast<double>(ns) / 1000);
  return text;
}

std::string event(std::string_view name, std::string_view category, int rank, uint64_t thread,
                  uint64_t begin_ns, uint64_t end_ns, uint64_t start_ns, std::string_view args) {
  // A record from before the trace began starts with it.
  const uint64_t begin = begin_ns > start_ns ? begin_ns - start_ns : 0;
  const uint64_t end = end_ns > start_ns ? end_ns - start_ns : 0;
  return concat(R"({"ph":"X","name":")", json_text(name), R"(","cat":")", category, R"(","pid":)",
                rank, R"(,"tid":)", thread, R"(,"ts":)", microseconds(begin), R"(,"dur":)",
                microseconds(end - begin), R"(,"args":{)", args, "}}");
}

const char* copy_name(uint8_t kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOD:
      return "copy host to device";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOH:
      return "copy device to host";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOD:
      return "copy on the device";
    case CUPTI_ACTIVITY_MEMCPY_KIND_PTOP:
      return "copy between devices";
    default:
      return "copy";
  }
}

template <typename Record>
const Record& as(const CUpti_Activity& record) {
  return reinterpret_cast<const Record&>(record);
}

}  // namespace

std::string json_text(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '"' || c == '\\') safe += '\\';
    safe += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return safe;
}

std::string kernel_name(const char* mangled) {
  constexpr size_t kLongest = 120;
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> plain(
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  if (status != 0 || !plain) return mangled;
  std::string name = plain.get();
  if (name.starts_with("void ")) name.erase(0, 5);
  // The parameter list begins at the last "(" outside of "<>"; template arguments may hold others.
  int depth = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++depth;
    if (name[i] == '>') --depth;
    if (name[i] == '(' && depth == 0 && name.compare(i, 11, "(anonymous ") != 0) {
      name.resize(i);
      break;
    }
  }
  if (name.size() > kLongest) name.resize(kLongest);
  return name;
}

std::string event_of(const CUpti_Activity& record, int rank, uint64_t start_ns) {
  switch (record.kind) {
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
    case CUPTI_ACTIVITY_KIND_KERNEL: {
      const auto& k = as<Kernel>(record);
      const std::string args =
          concat(R"("grid":[)", k.gridX, ",", k.gridY, ",", k.gridZ, R"(],"block":[)", k.blockX,
                 ",", k.blockY, ",", k.blockZ, R"(],"registers":)", k.registersPerThread,
                 R"(,"shared_bytes":)", int64_t{k.staticSharedMemory} + k.dynamicSharedMemory);
      return event(kernel_name(k.name), "kernel", rank, kFirstStream + k.streamId, k.start, k.end,
                   start_ns, args);
    }
    case CUPTI_ACTIVITY_KIND_MEMCPY: {
      const auto& c = as<Memcpy>(record);
      return event(copy_name(c.copyKind), "copy", rank, kFirstStream + c.streamId, c.start, c.end,
                   start_ns, concat(R"("bytes":)", c.bytes));
    }
    case CUPTI_ACTIVITY_KIND_MEMSET: {
      const auto& m = as<Memset>(record);
      return event("memset", "copy", rank, kFirstStream + m.streamId, m.start, m.end, start_ns,
                   concat(R"("bytes":)", m.bytes));
    }
    default:
      return "";
  }
}

std::string host_event(std::string_view name, int rank, uint64_t thread, uint64_t begin_ns,
                       uint64_t end_ns, uint64_t start_ns) {
  return event(name, "host", rank, thread, begin_ns, end_ns, start_ns, "");
}

}  // namespace trireme::cuda
