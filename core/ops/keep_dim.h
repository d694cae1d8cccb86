// Whether a reduced dimension stays, with an extent of 1.

#pragma once

namespace trireme {

enum class KeepDim { kNo, kYes };

}  // namespace trireme
