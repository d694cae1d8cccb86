#include "tests/support/fake_gpus.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include "tests/support/fake_gpus_machine.h"

namespace trireme::testing {

using namespace fake_gpus;

cudaError_t fake_gpus::enter(const char* name) {
  auto& m = machine();
  const std::lock_guard lock(m.mutex);
  const auto it = m.failures.find(name);
  if (it == m.failures.end()) return cudaSuccess;
  const cudaError_t status = it->second;
  m.failures.erase(it);
  return status;
}

namespace {

thread_local int current = 0;

void run_stream(const std::shared_ptr<FakeStream>& stream) {
  auto& m = machine();
  std::unique_lock lock(m.mutex);
  while (true) {
    m.changed.wait(lock, [&] { return !stream->work.empty() || stream->destroyed; });
    if (stream->work.empty()) return;
    Work work = std::move(stream->work.front());
    stream->work.pop_front();
    stream->busy = true;
    lock.unlock();
    work();
    work = nullptr;  // what it holds may itself take locks
    lock.lock();
    stream->busy = false;
    m.changed.notify_all();
  }
}

void queue(cudaStream_t handle, Work work) {
  const std::lock_guard lock(machine().mutex);
  push(stream_of(handle), std::move(work));
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
  if (const auto status = refuse_if_capturing(stream)) return status;
  m.changed.wait(lock, [&] { return stream.work.empty() && !stream.busy; });
  return cudaSuccess;
}

cudaError_t event_create(cudaEvent_t* handle, unsigned) {
  if (const auto status = enter("event_create_with_flags")) return status;
  *handle = reinterpret_cast<cudaEvent_t>(new FakeEvent);
  return cudaSuccess;
}

cudaError_t event_record(cudaEvent_t handle, cudaStream_t on) {
  if (const auto status = enter("event_record")) return status;
  auto& m = machine();
  const std::lock_guard lock(m.mutex);
  FakeStream& stream = stream_of(on);
  if (stream.capture) return record_captured(event_of(handle), stream);
  const auto point = std::make_shared<Point>();
  event_of(handle) = {point, nullptr, {}};
  push(stream, [point, &m] {
    const std::lock_guard at_that_time(m.mutex);
    point->reached = true;
    m.changed.notify_all();
  });
  return cudaSuccess;
}

void wait_for(const std::shared_ptr<Point>& point) {
  auto& m = machine();
  std::unique_lock lock(m.mutex);
  m.changed.wait(lock, [&] { return !point || point->reached; });
}

cudaError_t stream_wait_event(cudaStream_t handle, cudaEvent_t event, unsigned) {
  if (const auto status = enter("stream_wait_event")) return status;
  const std::lock_guard lock(machine().mutex);
  FakeStream& stream = stream_of(handle);
  if (stream.capture || event_of(event).capture) return wait_captured(stream, event_of(event));
  push(stream, [point = event_of(event).point] { wait_for(point); });
  return cudaSuccess;
}

/// The host asks for an event: not for one that was recorded in a capture.
cudaError_t point_of(cudaEvent_t handle, std::shared_ptr<Point>* point) {
  const std::lock_guard lock(machine().mutex);
  const FakeEvent& event = event_of(handle);
  *point = event.point;
  return event.capture ? cudaErrorCapturedEvent : cudaSuccess;
}

cudaError_t event_query(cudaEvent_t event) {
  if (const auto status = enter("event_query")) return status;
  std::shared_ptr<Point> point;
  if (const auto status = point_of(event, &point)) return status;
  const std::lock_guard lock(machine().mutex);
  return !point || point->reached ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t event_synchronize(cudaEvent_t event) {
  std::shared_ptr<Point> point;
  if (const auto status = point_of(event, &point)) return status;
  {
    const std::lock_guard lock(machine().mutex);
    ++machine().host_waits;
  }
  wait_for(point);
  return cudaSuccess;
}

// Memory of the pool cannot be part of a graph, though CUDA would allow it: blocks of a graph come
// from a stream that is not captured.
cudaError_t refuse_memory(cudaStream_t stream) {
  const std::lock_guard lock(machine().mutex);
  return refuse_if_capturing(stream_of(stream));
}

cudaError_t allocate(void** data, size_t bytes, cudaMemPool_t, cudaStream_t stream) {
  if (const auto status = enter("malloc_from_pool_async")) return status;
  if (const auto status = refuse_memory(stream)) return status;
  *data = std::aligned_alloc(512, (bytes + 511) / 512 * 512);
  std::memset(*data, 0xA5, bytes);  // nobody may rely on what was there
  const std::lock_guard lock(machine().mutex);
  machine().blocks[*data] = bytes;
  return cudaSuccess;
}

cudaError_t free_async(void* data, cudaStream_t stream) {
  if (const auto status = refuse_memory(stream)) return status;
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
  queue(
      stream, work ? std::move(work) : [] {});
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
  t.device_get_attribute = [](int* value, cudaDeviceAttr which, int) {
    *value = which == cudaDevAttrMaxSharedMemoryPerBlockOptin ? 227 << 10 : 4;
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
  t.func_set_attribute = [](const void*, cudaFuncAttribute, int) { return cudaSuccess; };
  add_capture(t);
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
bool FakeGpus::is_capturing(cudaStream_t stream) const {
  const std::lock_guard lock(state_->mutex);
  return stream_of(stream).capture != nullptr;
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
