// The commit that this build was made from. Not in config.h, which nearly everything includes: a
// new commit compiles one file, not all of them.

#pragma once

namespace trireme {

/// Abbreviated, as git shows it; "" where the sources were no checkout.
extern const char kGitCommit[];

}  // namespace trireme
