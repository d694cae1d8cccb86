// Names that all kernel objects of one run share, so that they can be found and removed together.

#pragma once

#include <string>
#include <string_view>

namespace trireme {

/// "trireme-0-20261124-a1b2+": the user's id and the run id, reduced to letters, digits, '.', '_'
/// and '-'; a run id that had to be changed or shortened is told apart by a digest. At most 90
/// characters. Every name in /dev/shm and every socket of a run starts with it, and those of no
/// other run do, so what has this prefix may be deleted when the run is over.
std::string shm_name_prefix(std::string_view run_id);

}  // namespace trireme
