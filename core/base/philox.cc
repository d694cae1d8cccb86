#include "core/base/philox.h"

#include "core/base/error.h"

namespace trireme::detail {

void refuse_random(const char* reason) { fail("random", reason); }

}  // namespace trireme::detail
