// Text of a directory tree, for training on source code without any download.

#pragma once

#include <string>
#include <vector>

namespace trireme {

/// Paths of the source and text files below `directory`, sorted, so that every rank and every
/// machine sees the same order. Takes files with a known text extension (C++, Python, Markdown,
/// CMake, shell, YAML, plain text) without a zero byte in their first 8 KiB; skips hidden entries
/// (.git), symbolic links, and directories named build or runs, which change while training runs.
/// Throws IoError (a DataError without permission) when a directory cannot be read.
std::vector<std::string> list_text_files(const std::string& directory);

}  // namespace trireme
