// PeerMemory: how ranks that share memory see each other's buffers.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace trireme {

/// A buffer in a form that all ranks understand.
struct Address {
  int64_t region = -1;  // -1: only its owner can see it
  int64_t offset = 0;

  bool is_shared() const { return region >= 0; }
};

class PeerMemory {
 public:
  virtual ~PeerMemory() = default;
  /// The address of this rank's [data, data + bytes).
  virtual Address find(const void* data, int64_t bytes) const = 0;
  /// Another rank's buffer, in this rank's address space. Requires that this rank holds a buffer of
  /// the same region, which keeps it mapped.
  virtual std::byte* at(int rank, const Address& address) const = 0;
  /// A rank's area for buffers that the others cannot see. Not needed where find() always succeeds.
  virtual std::byte* staging(int rank) const = 0;
  virtual int64_t staging_bytes() const = 0;
  /// True if the others touch memory that the caller may free: a rank that fails must not say so
  /// before they are done with it.
  virtual bool lends_callers_memory() const = 0;
  /// Collective, see Communicator::allocate.
  virtual std::shared_ptr<void> allocate(int64_t bytes) = 0;
};

}  // namespace trireme
