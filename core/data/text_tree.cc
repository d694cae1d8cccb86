#include "core/data/text_tree.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "core/base/error.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr std::array kTextExtensions = {".c",  ".cc", ".cpp", ".cu",  ".cuh",   ".h",    ".hpp",
                                        ".py", ".sh", ".md",  ".txt", ".cmake", ".js",   ".java",
                                        ".rs", ".go", ".tex", ".rst", ".in",    ".yaml", ".yml"};

bool has_text_extension(const fs::path& path) {
  const std::string extension = path.extension().string();
  return std::any_of(kTextExtensions.begin(), kTextExtensions.end(),
                     [&](const char* known) { return extension == known; });
}

bool looks_binary(const fs::path& path) {
  std::array<char, 8192> head;
  std::ifstream in(path, std::ios::binary);
  in.read(head.data(), head.size());
  const std::string_view seen(head.data(), static_cast<size_t>(in.gcount()));
  return seen.find('\0') != std::string_view::npos;
}

bool is_skipped_directory(const std::string& name) { return name == "build" || name == "runs"; }

}  // namespace

std::vector<std::string> list_text_files(const std::string& directory) {
  std::vector<std::string> files;
  try {
    for (auto it = fs::recursive_directory_iterator(directory); it != fs::end(it); ++it) {
      const std::string name = it->path().filename().string();
      const bool hidden = name.starts_with(".");
      if (it->is_symlink()) continue;  // never followed: a link may lead back up
      if (it->is_directory()) {
        if (hidden || is_skipped_directory(name)) it.disable_recursion_pending();
      } else if (it->is_regular_file() && !hidden && has_text_extension(it->path()) &&
                 !looks_binary(it->path())) {
        files.push_back(it->path().string());
      }
    }
  } catch (const fs::filesystem_error& error) {
    const std::string path = error.path1().string();
    fail_to_read("list_text_files", path.empty() ? directory : path, error.code().value());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace trireme
