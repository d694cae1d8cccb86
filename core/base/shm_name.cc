#include "core/base/shm_name.h"

#include <unistd.h>

#include <cctype>
#include <cstdint>
#include <sstream>

namespace trireme {

std::string shm_name_prefix(std::string_view run_id) {
  constexpr size_t kMostCharacters = 48;
  std::string safe;
  uint64_t digest = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : run_id) {
    digest = (digest ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
    if (safe.size() < kMostCharacters) safe += plain ? c : '_';
  }
  std::ostringstream name;
  name << "trireme-" << getuid() << "-" << safe;
  if (safe != run_id) name << "-" << std::hex << digest;
  // No run id can hold this character, so no run's prefix begins another's name.
  name << "+";
  return name.str();
}

}  // namespace trireme
