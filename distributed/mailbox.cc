#include "distributed/mailbox.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace trireme {
namespace {

uint64_t put(Mailbox& box, const std::byte* from, uint64_t bytes) {
  const uint64_t written = box.written.load(std::memory_order_relaxed);
  const uint64_t held = written - box.read.load(std::memory_order_acquire);
  const uint64_t n = std::min<uint64_t>(bytes, kMailboxBytes - held);
  const uint64_t at = written % kMailboxBytes;
  const uint64_t first = std::min<uint64_t>(n, kMailboxBytes - at);
  std::copy_n(from, first, box.ring + at);
  std::copy_n(from + first, n - first, box.ring);
  box.written.store(written + n, std::memory_order_release);
  return n;
}

uint64_t take(Mailbox& box, std::byte* to, uint64_t bytes) {
  const uint64_t read = box.read.load(std::memory_order_relaxed);
  const uint64_t held = box.written.load(std::memory_order_acquire) - read;
  const uint64_t n = std::min(bytes, held);
  const uint64_t at = read % kMailboxBytes;
  const uint64_t first = std::min<uint64_t>(n, kMailboxBytes - at);
  std::copy_n(box.ring + at, first, to);
  std::copy_n(box.ring, n - first, to + first);
  box.read.store(read + n, std::memory_order_release);
  return n;
}

class Send final : public Transfer {
 public:
  Send(Mailbox& box, Board& board, const void* data, int64_t bytes, int to)
      : box_(box),
        board_(board),
        data_(static_cast<const std::byte*>(data)),
        to_(to),
        length_(bytes) {}

  Progress advance() override {
    uint64_t moved = 0;
    if (head_done_ < sizeof(length_)) {
      moved = put(box_, reinterpret_cast<const std::byte*>(&length_) + head_done_,
                  sizeof(length_) - head_done_);
      head_done_ += moved;
    }
    if (head_done_ == sizeof(length_)) {
      const uint64_t n = put(box_, data_ + done_, length_ - done_);
      done_ += n;
      moved += n;
      if (done_ == length_) return Progress::kDone;
    }
    return moved > 0 ? Progress::kSome : Progress::kNone;
  }
  void check_peer() override { board_.check_peer(to_, describe()); }
  std::string describe() const override {
    return concat("send of ", length_, " bytes to rank ", to_);
  }

 private:
  Mailbox& box_;
  Board& board_;
  const std::byte* data_;
  const int to_;
  const uint64_t length_;
  uint64_t head_done_ = 0;
  uint64_t done_ = 0;
};

class Recv final : public Transfer {
 public:
  Recv(Mailbox& box, Board& board, void* data, int64_t bytes, int from)
      : box_(box),
        board_(board),
        data_(static_cast<std::byte*>(data)),
        from_(from),
        length_(bytes) {}

  Progress advance() override {
    uint64_t moved = 0;
    if (head_done_ < sizeof(sent_)) {
      moved =
          take(box_, reinterpret_cast<std::byte*>(&sent_) + head_done_, sizeof(sent_) - head_done_);
      head_done_ += moved;
      if (head_done_ == sizeof(sent_)) check_length();
    }
    if (head_done_ == sizeof(sent_)) {
      const uint64_t n = take(box_, data_ + done_, length_ - done_);
      done_ += n;
      moved += n;
      if (done_ == length_) return Progress::kDone;
    }
    return moved > 0 ? Progress::kSome : Progress::kNone;
  }
  void check_peer() override { board_.check_peer(from_, describe()); }
  std::string describe() const override {
    return concat("recv of ", length_, " bytes from rank ", from_);
  }

 private:
  void check_length() {
    if (sent_ == length_) return;
    board_.record_fault(CommError::Kind::kMismatch,
                        concat("rank ", from_, " sent ", sent_, " bytes, rank ", board_.rank(),
                               " expects ", length_));
    board_.throw_if_fault(describe());
  }

  Mailbox& box_;
  Board& board_;
  std::byte* data_;
  const int from_;
  const uint64_t length_;
  uint64_t sent_ = 0;
  uint64_t head_done_ = 0;
  uint64_t done_ = 0;
};

}  // namespace

int64_t Mailboxes::bytes_for(int world_size) {
  return static_cast<int64_t>(sizeof(Mailbox)) * world_size * world_size;
}

void Mailboxes::format(void* memory, int world_size) {
  for (int i = 0; i < world_size * world_size; ++i) {
    new (static_cast<std::byte*>(memory) + i * sizeof(Mailbox)) Mailbox;
  }
}

Mailboxes::Mailboxes(void* memory, Board& board)
    : memory_(static_cast<std::byte*>(memory)), board_(board) {}

Mailbox& Mailboxes::box(int from, int to) const {
  const int64_t index = static_cast<int64_t>(from) * board_.world_size() + to;
  return *std::launder(reinterpret_cast<Mailbox*>(memory_ + index * sizeof(Mailbox)));
}

std::unique_ptr<Transfer> Mailboxes::start_send(const void* data, int64_t bytes, int to) {
  return std::make_unique<Send>(box(board_.rank(), to), board_, data, bytes, to);
}

std::unique_ptr<Transfer> Mailboxes::start_recv(void* data, int64_t bytes, int from) {
  return std::make_unique<Recv>(box(from, board_.rank()), board_, data, bytes, from);
}

}  // namespace trireme
