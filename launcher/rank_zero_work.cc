#include "launcher/rank_zero_work.h"

#include <chrono>
#include <future>

namespace trireme {

void run_on_rank_zero(Communicator& communicator, const std::function<void()>& work) {
  constexpr std::chrono::milliseconds kBeat{200};  // the shortest deadline is a second
  if (communicator.world_size() == 1) return work();
  const bool is_worker = communicator.rank() == 0;
  std::future<void> result;
  if (is_worker) result = std::async(std::launch::async, work);
  for (int64_t done = 0; done == 0;) {
    if (is_worker && result.wait_for(kBeat) == std::future_status::ready) {
      result.get();
      done = 1;
    }
    communicator.host().broadcast(&done, sizeof done, 0)->wait();
  }
}

}  // namespace trireme
