// Where a tensor lives: the CPU, or CUDA device n.

#pragma once

#include <compare>
#include <cstdint>
#include <iosfwd>
#include <string_view>

namespace trireme {

enum class DeviceType : uint8_t { kCpu, kCuda };

struct Device {
  DeviceType type = DeviceType::kCpu;
  int8_t index = 0;  // CUDA ordinal among the visible devices; 0 for the CPU

  bool is_cpu() const { return type == DeviceType::kCpu; }
  auto operator<=>(const Device&) const = default;
};

/// Parses "cpu", "cuda" and "cuda:N". Throws InvalidArgument for anything else.
Device parse_device(std::string_view text);

std::ostream& operator<<(std::ostream& out, Device device);

}  // namespace trireme
