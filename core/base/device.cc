#include "core/base/device.h"

#include <charconv>
#include <ostream>

#include "core/base/error.h"

namespace trireme {

Device parse_device(std::string_view text) {
  if (text == "cpu") return {};
  if (text == "cuda") return {DeviceType::kCuda, 0};
  if (text.substr(0, 5) == "cuda:") {
    int index = -1;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 5, end, index);
    if (error == std::errc{} && stop == end && index >= 0 && index < 128) {
      return {DeviceType::kCuda, static_cast<int8_t>(index)};
    }
  }
  fail("device", "must be cpu, cuda or cuda:N, got '", text, "'");
}

std::ostream& operator<<(std::ostream& out, Device device) {
  if (device.is_cpu()) return out << "cpu";
  return out << "cuda:" << static_cast<int>(device.index);
}

}  // namespace trireme
