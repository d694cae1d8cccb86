// What the oneDNN kernels share: the engine, the stream, and primitives kept by shape.

#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>

#include <dnnl.hpp>

#include "core/base/error.h"
#include "core/base/half.h"

namespace trireme::kernels::onednn {

inline const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

template <typename T>
inline constexpr auto kTypeOf =
    std::is_same_v<T, BFloat16> ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;

/// True if the processor multiplies pairs of bf16 (AVX-512 BF16 or AMX), or T is f32. Elsewhere
/// oneDNN emulates it, which is slower than f32.
template <typename T>
inline bool is_native() {
  static const bool native = [] {
    const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
    return std::is_same_v<T, float> || isa == dnnl::cpu_isa::avx512_core_bf16 ||
           isa == dnnl::cpu_isa::avx512_core_amx;
  }();
  return native;
}

inline dnnl::stream& stream_of_thread() {
  thread_local dnnl::stream stream(cpu_engine());
  return stream;
}

/// The C entry point: the C++ one builds a map from its arguments on every call.
inline void execute(const char* op, const dnnl::primitive& primitive, const dnnl_exec_arg_t* args,
                    int count) {
  const dnnl_status_t status =
      dnnl_primitive_execute(primitive.get(), stream_of_thread().get(), count, args);
  if (status != dnnl_success) throw Error(concat(op, ": oneDNN failed with status ", status));
}

/// Primitives by what they were made for. The thread count belongs into the key: primitives divide
/// their work when they are made.
template <size_t N, typename Made>
class PrimitiveCache {
 public:
  using Key = std::array<int64_t, N>;

  template <typename Make>
  Made& get(const Key& key, const Make& make) {
    // A program with ever new shapes must not keep a primitive for each.
    constexpr size_t kMost = 1024;
    if (made_.size() >= kMost) made_.clear();
    auto found = made_.find(key);
    if (found == made_.end()) found = made_.emplace(key, make()).first;
    return found->second;
  }

 private:
  struct Hash {
    size_t operator()(const Key& key) const {
      uint64_t h = 0;
      for (int64_t v : key) h = (h ^ static_cast<uint64_t>(v)) * 0x9E3779B97F4A7C15u + (h >> 29);
      return h ^ (h >> 32);
    }
  };
  std::unordered_map<Key, Made, Hash> made_;
};

}  // namespace trireme::kernels::onednn
