// Runs CUDA kernels on the host, so that machines without a GPU test them: the text of every .cu
// file is compiled a second time as plain C++ (include/ stands in front of CUDA's headers).
//
// A kernel's threads are fibers of the calling thread. They run until they wait for their warp or
// block; a barrier opens when all of them that have not ended stand before it, and one that can
// never open (some wait for the warp, others for the block) is an error that names the kernel.
// Blocks run one after another. What this cannot show: data races between barriers (but see Order),
// speed, and what the device does with addresses the host would allow.

#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>

namespace trireme::emulator {

/// What a kernel's thread knows of its place.
struct Place {
  uint3 thread{}, block{};
  dim3 block_size{}, grid_size{};
};
const Place& here();
int lane();  // within the warp of 32

void sync_block();
void sync_warp();
/// Gives `bits` to the warp and takes those of lane `from`. All threads of the warp must call it.
uint64_t exchange(uint64_t bits, int from);
/// Gives `bits` to the warp and finds which lanes gave the same: bit l for lane l.
uint32_t lanes_with(uint64_t bits);
/// The block's dynamic shared memory, aligned to 16 bytes.
void* dynamic_shared();

/// Which thread runs first where several could: a kernel that lacks a barrier gives other results
/// in another order.
enum class Order { kForward, kBackward };
void set_order(Order order);

/// Runs `kernel` for every thread of every block. Blocks may have any number of threads up to 1024.
/// Throws Error naming `op` where a barrier cannot open.
void run_grid(const char* op, dim3 blocks, dim3 threads, int64_t shared_bytes,
              const std::function<void()>& kernel);

/// How a launched grid gets to run on its stream; nothing set: at once.
using Queue = std::function<void(cudaStream_t, std::function<void()> grid)>;
void set_queue(Queue queue);
void queue_grid(cudaStream_t stream, std::function<void()> grid);

/// Grids run so far by this process: for tests that want to know that kernels ran at all.
int64_t grids_run();

}  // namespace trireme::emulator
