#include "distributed/single_communicator_cuda.h"

#include <algorithm>

#include "core/cuda/api.h"
#include "core/cuda/check.h"
#include "core/cuda/memory.h"
#include "core/cuda/stream.h"
#include "distributed/buffer_checks.h"
#include "distributed/communication_kind.h"

namespace trireme {
namespace {

/// Everything is ordered by the current stream alone.
class StreamOrdered final : public Work {
 public:
  void wait() override {}
  bool is_done() const override { return true; }
};

class SingleCudaCommunicator final : public Communicator {
 public:
  SingleCudaCommunicator(std::unique_ptr<Communicator> host, int device)
      : host_(std::move(host)), device_(device) {}

  const char* backend() const override { return "local"; }
  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  Device device() const override { return {DeviceType::kCuda, static_cast<int8_t>(device_)}; }
  Communicator& host() override { return *host_; }

  WorkPtr all_reduce(void* data, int64_t count, DType dtype, ReduceOp op) override {
    check_reduction("all_reduce", data, count, dtype, op);
    return done(count * size_of(dtype));
  }
  WorkPtr reduce_scatter(const void* in, void* out, int64_t count, DType dtype,
                         ReduceOp op) override {
    check_reduction("reduce_scatter", in, count, dtype, op);
    check_buffer("reduce_scatter", out, count);
    return copy("reduce_scatter", in, out, count * size_of(dtype));
  }
  WorkPtr all_gather(const void* in, void* out, int64_t bytes) override {
    check_buffer("all_gather", in, bytes);
    check_buffer("all_gather", out, bytes);
    return copy("all_gather", in, out, bytes);
  }
  WorkPtr broadcast(void* data, int64_t bytes, int root) override {
    check_buffer("broadcast", data, bytes);
    require(root == 0, "broadcast", "root must be the only rank, 0, got ", root);
    return done(bytes);
  }
  void barrier() override {
    host_->check();
    cuda::synchronize(device_);
  }
  WorkPtr send(const void*, int64_t, int to) override { return no_peer("send", to); }
  WorkPtr recv(void*, int64_t, int from) override { return no_peer("recv", from); }

  std::shared_ptr<void> allocate(int64_t bytes) override {
    require(bytes >= 0, "allocate", "size must not be negative, got ", bytes);
    const cudaStream_t stream = cuda::current_stream(device_);
    const int64_t size = std::max<int64_t>(bytes, 1);
    const MemoryKindGuard kind(communication_kind());
    std::shared_ptr<void> memory(cuda::allocate(size, device_),
                                 [device = device_](void* block) { cuda::free(block, device); });
    cuda::check("allocate",
                cuda::api().memset_async(memory.get(), 0, static_cast<size_t>(size), stream));
    cuda::check_launch("allocate", {stream, device_});
    return memory;
  }

  void abort(const std::string& reason) noexcept override { host_->abort(reason); }
  void check() override { host_->check(); }
  CommStats stats() const override { return stats_; }

 private:
  WorkPtr done(int64_t bytes) {
    static const WorkPtr work = std::make_shared<StreamOrdered>();
    host_->check();
    stats_.operations += 1;
    stats_.bytes += bytes;
    return work;
  }
  WorkPtr copy(const char* op, const void* in, void* out, int64_t bytes) {
    if (in != out && bytes > 0) {
      const Cuda cuda = current_cuda(device_);
      cuda::check(op, cuda::api().memcpy_async(out, in, static_cast<size_t>(bytes),
                                               cudaMemcpyDeviceToDevice, cuda.stream));
      cuda::check_launch(op, cuda);
    }
    return done(bytes);
  }
  [[noreturn]] WorkPtr no_peer(const char* op, int peer) const {
    fail(op, "there is no other rank, got ", peer);
  }

  const std::unique_ptr<Communicator> host_;
  const int device_;
  CommStats stats_;
};

}  // namespace

std::unique_ptr<Communicator> make_single_cuda_communicator(std::unique_ptr<Communicator> host,
                                                            int device) {
  require(host->world_size() == 1, "make_communicator", "a single rank needs a host of one, got ",
          host->world_size());
  return std::make_unique<SingleCudaCommunicator>(std::move(host), device);
}

}  // namespace trireme
