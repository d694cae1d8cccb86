// Records of CUPTI as events of Chrome's trace format, one line each.

#pragma once

#include <cupti.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace trireme::cuda {

/// `record` as an event of process `rank`, times relative to `start_ns`; "" for kinds that are not
/// shown. Each stream is a thread of its own.
std::string event_of(const CUpti_Activity& record, int rank, uint64_t start_ns);

/// A range of a host thread.
std::string host_event(std::string_view name, int rank, uint64_t thread, uint64_t begin_ns,
                       uint64_t end_ns, uint64_t start_ns);

/// Within quotes.
std::string json_text(std::string_view text);

/// The name of a kernel as it was written, without parameters: "layer_norm_kernel<float>".
std::string kernel_name(const char* mangled);

}  // namespace trireme::cuda
