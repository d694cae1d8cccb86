// Host memory as a device on which libraries run, with a clock that the test sets.

#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "kernels/library_device.h"

namespace trireme::testing {

class HostDevice : public kernels::LibraryDevice {
 public:
  /// `clock` gives the ms of the work that has just run.
  explicit HostDevice(std::function<double()> clock) : clock_(std::move(clock)) {}
  ~HostDevice() override { EXPECT_EQ(live_blocks, 0); }

  std::string name() const override { return "NVIDIA Mock 1"; }
  int architecture() const override { return 90; }
  void* allocate(CUstream_st*, int64_t bytes) override {
    if (lacks_memory && lacks_memory(blocks++)) throw OutOfMemory("out of memory on mock");
    ++live_blocks;
    return std::malloc(static_cast<size_t>(bytes));
  }
  void free(CUstream_st*, void* block) noexcept override {
    --live_blocks;
    std::free(block);
  }
  void check_launch(const char* op, CUstream_st*) override { checked.emplace_back(op); }
  bool can_time(CUstream_st*) const override { return !is_capturing; }
  double milliseconds(CUstream_st*, int repeats, const std::function<void()>& work) override {
    ++timings;
    for (int i = 0; i <= repeats; ++i) work();
    return clock_();
  }

  bool is_capturing = false;
  int timings = 0;
  std::function<bool(int)> lacks_memory;  // for this block, counted from 0
  int blocks = 0, live_blocks = 0;
  std::vector<std::string> checked;  // ops behind whose work a fault would have been noticed

 private:
  std::function<double()> clock_;
};

}  // namespace trireme::testing
