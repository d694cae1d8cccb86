// Transport: how a backend moves data. TransportCommunicator turns one into a Communicator by
// adding argument checks, the queue and thread that make it asynchronous, and statistics.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "distributed/collective.h"

namespace trireme {

/// Who waits for peers: a caller with nothing else to do may spin a little for the best latency; a
/// background thread must leave the core to the caller's computation.
enum class Patience { kCallerWaits, kBackground };

/// A point-to-point message under way.
class Transfer {
 public:
  virtual ~Transfer() = default;
  enum class Progress { kNone, kSome, kDone };
  /// Moves what can be moved without waiting. Throws CommError.
  virtual Progress advance() = 0;
  /// After a while without progress: throws CommError if the peer is gone or the run aborted.
  virtual void check_peer() = 0;
  virtual std::string describe() const = 0;
};

/// Not thread-safe, except where said: one collective at a time, from whichever thread runs it.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual const char* name() const = 0;

  /// Tells the others about a collective, without waiting for anyone. Every earlier one has
  /// finished here. True if the others now need nothing more from this rank, so that finish() may
  /// be left to the moment when the caller waits.
  virtual bool post(const Collective& call) = 0;
  /// Completes the posted collective. Throws CommError; after that only stop() and abort() follow.
  virtual void finish(const Collective& call, Patience patience) = 0;

  /// Any thread. Messages between two ranks arrive in the order they were started.
  virtual std::unique_ptr<Transfer> start_send(const void* data, int64_t bytes, int to) = 0;
  virtual std::unique_ptr<Transfer> start_recv(void* data, int64_t bytes, int from) = 0;

  /// Any thread: makes this rank's, and if possible every rank's, finish() throw soon.
  virtual void abort(const std::string& reason) noexcept = 0;
  /// Any thread: throws a failure that is known here already.
  virtual void check() {}
  /// Any thread, see Communicator::set_progress.
  virtual void set_progress(uint64_t /*number*/) {}
  virtual std::vector<uint64_t> progress() const { return {}; }
  /// Any thread: this rank takes part no longer; a finish() that waits here throws soon.
  virtual void stop() noexcept = 0;
};

}  // namespace trireme
