#include "core/cuda/activity_trace.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

#include "core/base/error.h"
#include "core/base/trace_range.h"
#include "core/cuda/activity_json.h"
#include "core/cuda/cupti_api.h"

namespace trireme::cuda {
namespace {

constexpr size_t kBufferBytes = 4 << 20;
constexpr size_t kBufferAlignment = 8;  // CUPTI asks for it
constexpr CUpti_ActivityKind kKinds[] = {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
                                         CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET};

void check(const CuptiApi& api, const char* what, CUptiResult status) {
  if (status == CUPTI_SUCCESS) return;
  const char* text = "unknown error";
  api.result_string(status, &text);
  throw CudaError(concat("activity_trace: ", what, " failed, ", text,
                         "; no other profiler may be attached, and profiling must be allowed to "
                         "users (NVreg_RestrictProfilingToAdminUsers=0)"));
}

struct Open {
  const char* name;
  uint64_t begin_ns;
};
thread_local std::vector<Open> open_ranges;

}  // namespace

const CuptiApi& cupti() {
  static const CuptiApi api = [] {
    const std::string name = concat("libcupti.so.", CUDA_VERSION / 1000);
    const SharedLibrary library("CUPTI", {name, "/usr/local/cuda/lib64/" + name,
                                          "/usr/local/cuda/extras/CUPTI/lib64/" + name});
    CuptiApi found{};
    const auto find = [&](auto& entry, const char* symbol) {
      entry =
          library.symbol<std::remove_pointer_t<std::remove_reference_t<decltype(entry)>>>(symbol);
    };
    find(found.register_callbacks, "cuptiActivityRegisterCallbacks");
    find(found.enable, "cuptiActivityEnable");
    find(found.disable, "cuptiActivityDisable");
    find(found.flush_all, "cuptiActivityFlushAll");
    find(found.next_record, "cuptiActivityGetNextRecord");
    find(found.timestamp, "cuptiGetTimestamp");
    find(found.result_string, "cuptiGetResultString");
    return found;
  }();
  return api;
}

struct ActivityTrace::State {
  const CuptiApi api;
  const int rank;
  uint64_t start_ns = 0;
  const TraceHooks* hooks_before = nullptr;
  std::mutex mutex;
  std::FILE* file = nullptr;  // guarded by mutex

  State(const CuptiApi& on, int as_rank) : api(on), rank(as_rank) {}
  ~State() {
    if (file) std::fclose(file);
  }

  // CUPTI's callbacks and the hooks have no argument of ours.
  static inline std::atomic<State*> current{nullptr};

  void write(const std::string& event) {
    if (event.empty()) return;
    const std::lock_guard lock(mutex);
    std::fputs(event.c_str(), file);
    std::fputs(",\n", file);
  }
  uint64_t now() const {
    uint64_t ns = 0;
    api.timestamp(&ns);
    return ns;
  }

  static void CUPTIAPI give_buffer(uint8_t** buffer, size_t* bytes, size_t* most_records) {
    *buffer = static_cast<uint8_t*>(std::aligned_alloc(kBufferAlignment, kBufferBytes));
    *bytes = *buffer ? kBufferBytes : 0;  // without a buffer CUPTI drops records
    *most_records = 0;                    // as many as fit
  }
  static void CUPTIAPI take_buffer(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t used) {
    if (State* const trace = current.load()) {
      CUpti_Activity* record = nullptr;
      while (trace->api.next_record(buffer, used, &record) == CUPTI_SUCCESS) {
        trace->write(event_of(*record, trace->rank, trace->start_ns));
      }
    }
    std::free(buffer);
  }

  static void begin_range(const char* name) {
    State* const trace = current.load();
    if (!trace) return;
    open_ranges.push_back({name, trace->now()});
    if (trace->hooks_before) trace->hooks_before->begin(name);
  }
  static void end_range() {
    State* const trace = current.load();
    if (!trace || open_ranges.empty()) return;
    if (trace->hooks_before) trace->hooks_before->end();
    const Open range = open_ranges.back();
    open_ranges.pop_back();
    const auto thread = static_cast<uint64_t>(::gettid() - ::getpid());
    trace->write(
        host_event(range.name, trace->rank, thread, range.begin_ns, trace->now(), trace->start_ns));
  }
  static constexpr TraceHooks kHooks = {.begin = begin_range, .end = end_range};

  void open(const std::string& path) {
    file = std::fopen(path.c_str(), "w");
    if (!file) {
      throw IoError(concat("activity_trace: cannot write ", path, ", ", std::strerror(errno)));
    }
    std::fprintf(file,
                 "[\n{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,"
                 "\"args\":{\"name\":\"rank %d\"}},\n",
                 rank, rank);
  }
};

ActivityTrace::ActivityTrace(const std::string& path, int rank)
    : ActivityTrace(path, rank, cupti()) {}

ActivityTrace::ActivityTrace(const std::string& path, int rank, const CuptiApi& api)
    : state_(std::make_unique<State>(api, rank)) {
  State* none = nullptr;
  require(State::current.load() == none, "activity_trace", "a trace of this process runs already");
  state_->open(path);
  check(api, "registering", api.register_callbacks(State::give_buffer, State::take_buffer));
  state_->start_ns = state_->now();
  State::current = state_.get();
  try {
    for (const CUpti_ActivityKind kind : kKinds) check(api, "enabling", api.enable(kind));
  } catch (const CudaError&) {
    State::current = nullptr;
    throw;
  }
  state_->hooks_before = detail::trace_hooks;
  install_trace_hooks(&State::kHooks);
}

ActivityTrace::~ActivityTrace() {
  install_trace_hooks(state_->hooks_before);
  for (const CUpti_ActivityKind kind : kKinds) state_->api.disable(kind);
  state_->api.flush_all(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  State::current = nullptr;
  const double end_us = static_cast<double>(state_->now() - state_->start_ns) / 1000;
  std::fprintf(state_->file,
               "{\"ph\":\"i\",\"s\":\"p\",\"name\":\"end\",\"pid\":%d,\"tid\":0,\"ts\":%.3f}\n]\n",
               state_->rank, end_us);
}

}  // namespace trireme::cuda
