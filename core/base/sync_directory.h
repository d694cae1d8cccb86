// Making changes to a directory durable.

#pragma once

#include <string>

namespace trireme {

/// Brings a directory's entries to the disk: a created, renamed or deleted file is only durable
/// after this. Throws IoError.
void sync_directory(const std::string& path);

/// The same for the directory that `path` lies in.
void sync_parent_directory(const std::string& path);

}  // namespace trireme
