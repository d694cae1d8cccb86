// Control channel: what ranks tell each other once per step, besides gradients.
//
// One small all-reduce carries the loss and the stop wish, so that every rank logs the same loss
// and all leave at the same step boundary. A few microseconds on shm.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "distributed/communicator.h"

namespace trireme {

/// What one rank has to say about the step it just did.
struct StepReport {
  double loss_sum = 0;  // sum over this rank's samples
  int64_t samples = 0;
  int64_t tokens = 0;
  bool is_finite = true;  // the averaged gradients are
  bool wants_stop = false;
};

/// What all ranks know afterwards, the same on every rank.
struct StepAgreement {
  double mean_loss = 0;  // over all samples of all ranks
  int64_t samples = 0;
  int64_t tokens = 0;
  bool is_finite = true;  // on every rank
  bool stop = false;      // some rank wants to stop
};

/// Collective, blocking. Throws Error on every rank where gradients are finite on some only: the
/// others have left the step out, and weights differ from now on.
StepAgreement agree_on_step(const StepReport& mine, Communicator& communicator);

/// Rank 0's text on every rank. Collective, blocking.
std::string broadcast_text(std::string text, Communicator& communicator);

/// Every rank's text, in rank order, on every rank. Collective, blocking.
std::vector<std::string> gather_texts(const std::string& mine, Communicator& communicator);

}  // namespace trireme
