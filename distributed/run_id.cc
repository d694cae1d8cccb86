#include "distributed/run_id.h"

#include <cstdio>
#include <ctime>
#include <random>

namespace trireme {

std::string make_run_id() {
  const std::time_t now = std::time(nullptr);
  std::tm local = {};
  localtime_r(&now, &local);
  char text[32];
  const size_t length = std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &local);
  std::random_device entropy;
  std::snprintf(text + length, sizeof text - length, "-%06x", entropy() & 0xffffff);
  return text;
}

}  // namespace trireme
