// cuDNN's graph interface without a GPU: keeps the descriptors it is given, refuses what the real
// one refuses, and lets a test look at the graph that was built. Its recurrent layers compute
// (cudnn_mock_recurrent.h).

#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kernels/cudnn_api.h"

namespace trireme::testing {

/// A descriptor as the attributes that were set, byte for byte.
struct CudnnDescribed {
  cudnnBackendDescriptorType_t type;
  bool is_final = false;
  struct Attribute {
    cudnnBackendAttributeType_t type;
    int64_t count;
    std::vector<char> bytes;
  };
  std::map<int, Attribute> attributes;

  std::vector<int64_t> numbers(int name) const;  // a fraction is two of them
  const CudnnDescribed* descriptor(int name, size_t index = 0) const;
  bool has(int name) const { return attributes.contains(name); }
  template <typename T>
  T value(int name) const {
    return *reinterpret_cast<const T*>(attributes.at(name).bytes.data());
  }
};

/// What all mocks do and have seen. Reset by CudnnMock's constructor.
struct CudnnMockState {
  int live_objects = 0;
  int calls = 0;
  int fail_at = -1;  // this call returns `failure`
  cudnnStatus_t failure = CUDNN_STATUS_INTERNAL_ERROR;
  int engines = 3;  // that the heuristic offers; each may be refused by a note
  std::vector<std::vector<cudnnBackendNumericalNote_t>> notes{{}, {}, {}};
  bool supports = true;  // false: the graph is refused
  int64_t workspace_bytes = 256;

  std::set<int> recurrent_algorithms{CUDNN_RNN_ALGO_STANDARD};  // of layers that are not refused
  int recurrent_math = -1;  // cudnnMathType_t of the layer described last

  std::vector<int> executed;  // engine of each run, or a recurrent layer's algorithm
  /// What running a graph does, given where its tensors lie.
  std::function<void(const CudnnDescribed& graph, const std::map<int64_t, void*>& memory)> execute;
  /// Takes what a recurrent layer computes, to run it in its turn; undefined: at once.
  std::function<void(std::function<void()> work)> queue;
  /// Numbers that were handed over by value: read when a graph is executed, whenever it runs.
  std::list<std::array<char, 8>> values;
  /// What was wrong with a graph, in words; empty when all is well.
  std::string complaint;
};

class CudnnMock {
 public:
  CudnnMock();
  const kernels::CudnnApi& api() const { return api_; }
  static CudnnMockState& state();

 private:
  kernels::CudnnApi api_;
};

}  // namespace trireme::testing
