// Giving a checkpoint directory its name and taking it away, so that no instant shows half of one.
//
//   .tmp-step-00000100  being written, or being deleted: nobody reads it
//   step-00000100       complete
//   step-00000100.old   complete, about to be replaced; only where a file system cannot exchange
//
// The caller holds the lock of the directory (directory_lock.h).

#pragma once

#include <string>

namespace trireme {

/// Where the files of `checkpoint` are written before it is published.
std::string temporary_of(const std::string& checkpoint);

/// Moves the complete `temporary` to `checkpoint`. What was there ends up at `temporary`. Durable
/// once the directory above is synced. Throws IoError; then what was there still is.
void publish(const std::string& temporary, const std::string& checkpoint);

/// Renames before it deletes. What cannot be deleted is warned of.
void delete_checkpoint(const std::string& checkpoint);

/// Deletes what interrupted saves have left in `directory`; a checkpoint that one of them was about
/// to replace gets its name back.
void remove_leftovers(const std::string& directory);

/// Deletes a file or a directory with all it holds, or warns.
void remove_quietly(const std::string& path);

}  // namespace trireme
