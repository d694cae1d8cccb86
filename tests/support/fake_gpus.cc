#include "tests/support/fake_gpus.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <thread>
#include <utility>

namespace trireme::testing {

namespace {

// A recorded point of a stream's work.
struct Point {
  bool reached = false;  // guarded by State::mutex
};
struct FakeEvent {
  std::shared_ptr<Point> point;  // guarded by State::mutex
};
struct FakeStream {
  std::deque<std::function<void()>> work;  // guarded by State::mutex
  bool busy = false;
  bool destroyed = false;
};

thread_local int current = 0;

}  // namespace

struct FakeGpus::State {
  mutable std::mutex mutex;
  std::condition_variable changed;

  // Guarded by mutex.
  std::vector<std::string> log;
  std::map<std::string, cudaError_t> failures;
  std::map<int, int> aliases;
  std::map<void*, size_t> blocks;
  FakeGpus::Kernel kernel;
  int visible = kFakeGpus;
  int kernels = 0, memsets = 0, host_waits = 0;
};

namespace {

FakeGpus::State& machine() { return FakeGpus::get().state(); }

cudaError_t enter(const char* name) {
  auto& m = machine();
  const std::lock_guard lock(m.mutex);
  const auto it = m.failures.find(name);
  if (it == m.failures.end()) return cudaSuccess;
  const cudaError_t status = it->second;
  m.failures.erase(it);
  return status;
}

void run_stream(const std::shared_ptr<FakeStream>& stream) {
  auto& m = machine();
  std::unique_lock lock(m.mutex);
  while (true) {
    m.changed.wait(lock, [&] { return !stream->work.empty() || stream->destroyed; });
    if (stream->work.empty()) return;
    const auto work = std::move(stream->work.front());
    stream->work.pop_front();
    stream->busy = true;
    lock.unlock();
    work();
    lock.lock();
    stream->busy = false;
    m.changed.notify_all();
  }
}

using StreamHandle = std::shared_ptr<FakeStream>;
FakeStream& stream_of(cudaStream_t handle) { return **reinterpret_cast<StreamHandle*>(handle); }
FakeEvent& event_of(cudaEvent_t handle) { return *reinterpret_cast<FakeEvent*>(handle); }

void queue(cudaStream_t handle, std::function<void()> work) {
  auto& m = machine();
  const std::lock_guard lock(m.mutex);
  stream_of(handle).work.push_back(std::move(work));
  m.changed.notify_all();
}

cudaError_t stream_create(cudaStream_t* handle, unsigned, int) {
  if (const auto status = enter("stream_create_with_priority")) return status;
  auto* stream = new StreamHandle(std::make_shared<FakeStream>());
  std::thread(run_stream, *stream).detach();
  *handle = reinterpret_cast<cudaStream_t>(stream);
  return cudaSuccess;
}

cudaError_t stream_destroy(cudaStream_t handle) {
  auto* stream = reinterpret_cast<StreamHandle*>(handle);
  {
    auto& m = machine();
    const std::lock_guard lock(m.mutex);
    (*stream)->destroyed = true;
    m.changed.notify_all();
  }
  delete stream;
  return cudaSuccess;
}

cudaError_t stream_synchronize(cudaStream_t handle) {
  if (const auto status = enter("stream_synchronize")) return status;
  auto& m = machine();
  std::unique_lock lock(m.mutex);
  ++m.host_waits;
  FakeStream& stream = stream_of(handle);
  m.changed.wait(lock, [&] { return stream.work.empty() && !stream.busy; });
  return cudaSuccess;
}

cudaError_t event_create(cudaEvent_t* handle, unsigned) {
  if (const auto status = enter("event_create_with_flags")) return status;
  *handle = reinterpret_cast<cudaEvent_t>(new FakeEvent);
  return cudaSuccess;
}

cudaError_t event_record(cudaEvent_t handle, cudaStream_t stream) {
  if (const auto status = enter("event_record")) return status;
  const auto point = std::make_shared<Point>();
  auto& m = machine();
  {
    const std::lock_guard lock(m.mutex);
    event_of(handle).point = point;
  }
  queue(stream, [point, &m] {
    const std::lock_guard lock(m.mutex);
    point->reached = true;
    m.changed.notify_all();
  });
  return cudaSuccess;
}

std::shared_ptr<Point> point_of(cudaEvent_t handle) {
  const std::lock_guard lock(machine().mutex);
  return event_of(handle).point;
}

void wait_for(const std::shared_ptr<Point>& point) {
  auto& m = machine();
  std::unique_lock lock(m.mutex);
  m.changed.wait(lock, [&] { return !point || point->reached; });
}

cudaError_t stream_wait_event(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (const auto status = enter("stream_wait_event")) return status;
  queue(stream, [point = point_of(event)] { wait_for(point); });
  return cudaSuccess;
}

cudaError_t event_query(cudaEvent_t event) {
  if (const auto status = enter("event_query")) return status;
  const auto point = point_of(event);
  const std::lock_guard lock(machine().mutex);
  return !point || point->reached ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t event_synchronize(cudaEvent_t event) {
  {
    const std::lock_guard lock(machine().mutex);
    ++machine().host_waits;
  }
  wait_for(point_of(event));
  return cudaSuccess;
}

cudaError_t allocate(void** data, size_t bytes, cudaMemPool_t, cudaStream_t) {
  if (const auto status = enter("malloc_from_pool_async")) return status;
  *data = std::aligned_alloc(512, (bytes + 511) / 512 * 512);
  std::memset(*data, 0xA5, bytes);  // nobody may rely on what was there
  const std::lock_guard lock(machine().mutex);
  machine().blocks[*data] = bytes;
  return cudaSuccess;
}

cudaError_t free_async(void* data, cudaStream_t stream) {
  queue(stream, [data] {
    {
      const std::lock_guard lock(machine().mutex);
      machine().blocks.erase(data);
    }
    std::free(data);
  });
  return cudaSuccess;
}

cudaError_t properties(cudaDeviceProp* of, int gpu) {
  auto& m = machine();
  const std::lock_guard lock(m.mutex);
  std::memset(of, 0, sizeof *of);
  std::strcpy(of->name, "Fake GPU");
  const auto alias = m.aliases.find(gpu);
  const int physical = alias == m.aliases.end() ? gpu : alias->second;
  for (int i = 0; i < 16; ++i) of->uuid.bytes[i] = static_cast<char>(16 * physical + i);
  of->totalGlobalMem = size_t{1} << 30;
  of->major = 9;
  return cudaSuccess;
}

cudaError_t memcpy_async(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                         cudaStream_t stream) {
  if (const auto status = enter("memcpy_async")) return status;
  queue(stream, [=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t memset_async(void* data, int value, size_t bytes, cudaStream_t stream) {
  if (const auto status = enter("memset_async")) return status;
  {
    const std::lock_guard lock(machine().mutex);
    ++machine().memsets;
  }
  queue(stream, [=] { std::memset(data, value, bytes); });
  return cudaSuccess;
}

cudaError_t launch_kernel(const void*, dim3, dim3, void** arguments, size_t, cudaStream_t stream) {
  FakeGpus::Kernel kernel;
  {
    const std::lock_guard lock(machine().mutex);
    ++machine().kernels;
    kernel = machine().kernel;
  }
  auto work = kernel ? kernel(arguments) : nullptr;
  if (work) queue(stream, std::move(work));
  return cudaSuccess;
}

cuda::Api table() {
  cuda::Api t = cuda::api();
  t.get_device_count = [](int* count) {
    const std::lock_guard lock(machine().mutex);
    *count = machine().visible;
    return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
  };
  t.set_device = [](int gpu) {
    current = gpu;
    return cudaSuccess;
  };
  t.get_device = [](int* gpu) {
    *gpu = current;
    return cudaSuccess;
  };
  t.get_device_properties = properties;
  t.device_get_attribute = [](int* value, cudaDeviceAttr, int) {
    *value = 4;
    return cudaSuccess;
  };
  t.driver_get_version = [](int* version) {
    *version = 13000;
    return cudaSuccess;
  };
  t.get_last_error = [] { return cudaSuccess; };
  t.device_get_stream_priority_range = [](int* least, int* greatest) {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
  };
  t.stream_create_with_priority = stream_create;
  t.stream_destroy = stream_destroy;
  t.stream_synchronize = stream_synchronize;
  t.stream_wait_event = stream_wait_event;
  t.stream_is_capturing = [](cudaStream_t, cudaStreamCaptureStatus* status) {
    *status = cudaStreamCaptureStatusNone;
    return enter("stream_is_capturing");
  };
  t.event_create_with_flags = event_create;
  t.event_destroy = [](cudaEvent_t) { return cudaSuccess; };
  t.event_record = event_record;
  t.event_query = event_query;
  t.event_synchronize = event_synchronize;
  t.mem_get_info = [](size_t* free, size_t* total) {
    *free = *total = size_t{1} << 30;
    return cudaSuccess;
  };
  t.mem_pool_create = [](cudaMemPool_t* pool, const cudaMemPoolProps*) {
    *pool = nullptr;
    return cudaSuccess;
  };
  t.mem_pool_set_attribute = [](cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; };
  t.mem_pool_get_attribute = [](cudaMemPool_t, cudaMemPoolAttr, void* value) {
    std::memset(value, 0, 8);
    return cudaSuccess;
  };
  t.mem_pool_trim_to = [](cudaMemPool_t, size_t) { return cudaSuccess; };
  t.malloc_from_pool_async = allocate;
  t.free_async = free_async;
  t.host_alloc = [](void** data, size_t bytes, unsigned) {
    *data = std::calloc(1, bytes);
    return cudaSuccess;
  };
  t.free_host = [](void* data) {
    std::free(data);
    return cudaSuccess;
  };
  t.host_get_device_pointer = [](void** device, void* host, unsigned) {
    *device = host;
    return cudaSuccess;
  };
  t.memcpy_async = memcpy_async;
  t.memcpy_peer_async = [](void* to, int, const void* from, int, size_t bytes,
                           cudaStream_t stream) {
    return memcpy_async(to, from, bytes, cudaMemcpyDefault, stream);
  };
  t.memset_async = memset_async;
  t.launch_kernel = launch_kernel;
  t.occupancy_max_active_blocks = [](int* blocks, const void*, int, size_t) {
    *blocks = 1;
    return cudaSuccess;
  };
  return t;
}

}  // namespace

FakeGpus::FakeGpus() : state_(new State), in_force_(new cuda::ScopedApi(table())) {}

FakeGpus& FakeGpus::get() {
  // Streams outlive main, and so does what they use.
  static auto* const gpus = new FakeGpus;
  return *gpus;
}

void FakeGpus::run_on(cudaStream_t stream, std::function<void()> work) {
  queue(stream, std::move(work));
}
void FakeGpus::set_kernel(Kernel kernel) {
  const std::lock_guard lock(state_->mutex);
  state_->kernel = std::move(kernel);
}
bool FakeGpus::is_device_memory(const void* data) const {
  const auto* at = static_cast<const char*>(data);
  const std::lock_guard lock(state_->mutex);
  for (const auto& [block, bytes] : state_->blocks) {
    const auto* begin = static_cast<const char*>(block);
    if (begin <= at && at < begin + bytes) return true;
  }
  return false;
}
void FakeGpus::log(const std::string& line) {
  const std::lock_guard lock(state_->mutex);
  state_->log.push_back(line);
}
std::vector<std::string> FakeGpus::take_log() {
  const std::lock_guard lock(state_->mutex);
  return std::exchange(state_->log, {});
}
std::vector<std::string> FakeGpus::peek_log() const {
  const std::lock_guard lock(state_->mutex);
  return state_->log;
}
void FakeGpus::fail_next(const std::string& entry_point, cudaError_t status) {
  const std::lock_guard lock(state_->mutex);
  state_->failures[entry_point] = status;
}
void FakeGpus::set_visible(int gpus) {
  const std::lock_guard lock(state_->mutex);
  state_->visible = gpus;
}
void FakeGpus::alias_gpu(int gpu, int same_as) {
  const std::lock_guard lock(state_->mutex);
  state_->aliases[gpu] = same_as;
}
void FakeGpus::reset() {
  const std::lock_guard lock(state_->mutex);
  state_->log.clear();
  state_->failures.clear();
  state_->aliases.clear();
  state_->visible = kFakeGpus;
  state_->kernel = nullptr;
  state_->kernels = state_->memsets = state_->host_waits = 0;
}
int FakeGpus::kernels() const {
  const std::lock_guard lock(state_->mutex);
  return state_->kernels;
}
int FakeGpus::live_blocks() const {
  const std::lock_guard lock(state_->mutex);
  return static_cast<int>(state_->blocks.size());
}
int FakeGpus::memsets() const {
  const std::lock_guard lock(state_->mutex);
  return state_->memsets;
}
int FakeGpus::host_waits() const {
  const std::lock_guard lock(state_->mutex);
  return state_->host_waits;
}

}  // namespace trireme::testing
