#include "distributed/control_channel.h"

#include <algorithm>

namespace trireme {

StepAgreement agree_on_step(const StepReport& mine, Communicator& communicator) {
  // Doubles hold counts exactly up to 2^53.
  double sums[] = {mine.loss_sum, static_cast<double>(mine.samples),
                   static_cast<double>(mine.tokens), mine.is_finite ? 1.0 : 0.0,
                   mine.wants_stop ? 1.0 : 0.0};
  communicator.host().all_reduce(sums, std::size(sums), DType::kF64, ReduceOp::kSum)->wait();
  const auto finite_ranks = static_cast<int>(sums[3]);
  const int ranks = communicator.world_size();
  if (finite_ranks != 0 && finite_ranks != ranks) {
    throw Error(concat("training: averaged gradients are finite on ", finite_ranks, " of ", ranks,
                       " ranks, so replicas differ from this step on; this rank's are ",
                       mine.is_finite ? "finite" : "not", "; go back to a checkpoint"));
  }
  return {.mean_loss = sums[0] / sums[1],
          .samples = static_cast<int64_t>(sums[1]),
          .tokens = static_cast<int64_t>(sums[2]),
          .is_finite = finite_ranks == ranks,
          .stop = sums[4] > 0};
}

std::string broadcast_text(std::string text, Communicator& communicator) {
  auto size = static_cast<int64_t>(text.size());
  communicator.host().broadcast(&size, sizeof(size), 0)->wait();
  text.resize(static_cast<size_t>(size));
  communicator.host().broadcast(text.data(), size, 0)->wait();
  return text;
}

std::vector<std::string> gather_texts(const std::string& mine, Communicator& communicator) {
  const auto world = static_cast<size_t>(communicator.world_size());
  const auto size = static_cast<int64_t>(mine.size());
  std::vector<int64_t> sizes(world);
  communicator.host().all_gather(&size, sizes.data(), sizeof(size))->wait();
  const int64_t longest = *std::max_element(sizes.begin(), sizes.end());
  std::string padded = mine;
  padded.resize(static_cast<size_t>(longest));
  std::string all(static_cast<size_t>(longest) * world, '\0');
  communicator.host().all_gather(padded.data(), all.data(), longest)->wait();
  std::vector<std::string> texts;
  for (size_t r = 0; r < world; ++r) {
    texts.push_back(all.substr(r * static_cast<size_t>(longest), static_cast<size_t>(sizes[r])));
  }
  return texts;
}

}  // namespace trireme
