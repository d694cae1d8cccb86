// System calls on one named page of shared memory, for stats_page.cc and stats_reader.cc.

#pragma once

#include <string>

namespace trireme {

/// Takes the owner's lock of an open page. False if another process holds it. The lock belongs to
/// the open file, not to the process, and goes with its last descriptor.
bool lock_page(int fd);

/// Whether somebody holds the owner's lock. Does not take it, so it disturbs no owner.
bool is_page_locked(int fd);

/// True while `name` still leads to the page open as `fd`.
bool is_page_named(int fd, const std::string& name);

}  // namespace trireme
