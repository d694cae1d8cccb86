#include "core/base/settings.h"
#include "core/cuda/check.h"
#include "core/cuda/device.h"
#include "distributed/device_of_rank.h"
#include "distributed/host_name.h"

namespace trireme {
namespace {

/// At least 1, or throws.
int device_count() {
  const int count = cuda::device_count();
  if (count == 0) cuda::check("device", cudaErrorNoDevice);
  return count;
}

}  // namespace

Device device_of_rank(std::string_view wish, const RankEnv& env) {
  Device device = parse_device(wish);
  if (device.is_cpu()) return device;
  const bool may_share = get_setting("TRIREME_ALLOW_SHARED_GPU") == "1";
  const int count = device_count();
  if (wish == "cuda") {
    // One visible device may be this rank's own; whether another rank has the same one is found out
    // when they meet.
    require(env.local_rank < count || count == 1 || may_share, "device", "local rank ",
            env.local_rank, " of ", env.local_world_size, " has no GPU, ", host_name(), " has ",
            count, "; start at most ", count, " ranks on this node");
    device.index = static_cast<int8_t>(env.local_rank % count);
  } else {
    require(env.local_world_size == 1 || may_share, "device", "all ", env.local_world_size,
            " ranks of this node would use ", wish,
            "; use --device cuda, which gives each its own");
  }
  cuda::make_current(device.index);
  return device;
}

void require_device_per_thread(int ranks) {
  const int count = device_count();
  require(ranks <= count, "run_ranks", "each of ", ranks, " ranks needs a GPU of its own, ",
          host_name(), " shows this process ", count, "; run at most ", count,
          " ranks, or let CUDA_VISIBLE_DEVICES show more");
}

}  // namespace trireme
