// Sleeping on a word of memory, also one that several processes share (Linux futex).

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace trireme {

/// Sleeps while `word` is `expected`, until woken, at most `limit`. May return early.
void futex_wait(std::atomic<uint32_t>& word, uint32_t expected, std::chrono::milliseconds limit);
/// Wakes everyone who sleeps on `word`.
void futex_wake(std::atomic<uint32_t>& word) noexcept;

}  // namespace trireme
