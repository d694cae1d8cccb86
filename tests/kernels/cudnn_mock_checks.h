// What cuDNN refuses when descriptors are finalised and graphs executed. A check returns what is
// wrong, in words; "" where all is well.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/kernels/cudnn_mock.h"

namespace trireme::testing {

/// The tensors of an operation: what it reads and what it writes.
struct CudnnPorts {
  std::vector<const CudnnDescribed*> in;
  const CudnnDescribed* out = nullptr;  // null: the descriptor is no operation
  std::vector<const CudnnDescribed*> more_out;

  std::vector<const CudnnDescribed*> all_out() const;
};
CudnnPorts ports_of(const CudnnDescribed& op);

/// The graph's tensors that lie in memory, by number.
std::map<int64_t, const CudnnDescribed*> tensors_in_memory(const CudnnDescribed& graph);

std::string check_tensor(const CudnnDescribed& tensor);
std::string check_operation(const CudnnDescribed& op);
/// Numbers are unique, and every temporary is written once, before it is read.
std::string check_graph(const CudnnDescribed& graph);
/// Every tensor of the graph that lies in memory has a pointer.
std::string check_pack(const CudnnDescribed& graph, const std::vector<int64_t>& uids);

}  // namespace trireme::testing
