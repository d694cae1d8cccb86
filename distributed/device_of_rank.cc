// What a build without CUDA answers.

#include "distributed/device_of_rank.h"

#include "core/base/device_tag.h"

namespace trireme {

Device device_of_rank(std::string_view wish, const RankEnv& /*env*/) {
  const Device device = parse_device(wish);
  if (!device.is_cpu()) current_cuda(device.index);  // throws what to do
  return device;
}

void require_device_per_thread(int /*ranks*/) { current_cuda(0); }

}  // namespace trireme
