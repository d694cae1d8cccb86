// NCCL of the tests' own, behind distributed/nccl_api.h: ranks are threads of this process, buffers
// lie in the memory of FakeGpus, collectives run on the ranks' streams and really reduce. Calls can
// be made to fail, hang and be late.
//
// As the real one in non-blocking mode, it answers "in progress" first and is ready when asked
// again; and it ends no communicator while a graph holds some of its collectives.

#pragma once

#include <chrono>
#include <string>

#include "distributed/nccl_api.h"

namespace trireme::testing {

class FakeNccl {
 public:
  /// In force while it lives, over FakeGpus::get().
  FakeNccl();
  ~FakeNccl();
  FakeNccl(const FakeNccl&) = delete;

  static constexpr int kAnyRank = -1;

  /// The next call of an entry point ("all_reduce") on that rank's thread answers `result`.
  void fail_next(const std::string& entry_point, ncclResult_t result, int rank = kAnyRank);
  /// True while nobody has met that failure.
  bool is_pending(const std::string& entry_point) const;
  /// Rank never becomes ready after the call that makes its communicator.
  void hang_in_init(int rank);
  /// The rank's stream never arrives in its collective number `number`, counted from 1 as they
  /// begin, those of replays too.
  void hang_in_collective(int rank, int number);
  /// It arrives that much later.
  void delay_collective(int rank, int number, std::chrono::milliseconds delay);
  /// The communicator's state becomes `error`, as when NCCL's own thread finds a broken connection.
  void set_async_error(int rank, ncclResult_t error);
  /// ncclCommAbort does not return until let_aborts_return().
  void hang_in_abort();
  void let_aborts_return();
  /// What ncclGetVersion says on threads whose CUDA device is `gpu`.
  void set_version(int gpu, int version);

  int live_communicators() const;  // made, and neither aborted nor destroyed
  int aborts() const;
  /// The last configuration given; its texts are kept here.
  struct Config {
    ncclConfig_t values;
    std::string network, name;
  };
  Config config() const;
  int live_registrations() const;
  int live_memory() const;  // of ncclMemAlloc

 private:
  ScopedNcclApi in_force_;
};

}  // namespace trireme::testing
