#include "core/data/image_folder.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>

#include "core/base/error.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr std::array kRead = {".png", ".jpg", ".jpeg"};
constexpr std::array kNotRead = {".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm",
                                 ".pgm", ".jp2", ".jxl", ".heic", ".avif"};
constexpr std::array kTestFolders = {"val", "validation", "test"};

template <typename... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  throw DataError(concat("image_folder: ", parts...));
}

template <typename Names>
bool is_one_of(const std::string& text, const Names& names) {
  return std::find(names.begin(), names.end(), text) != names.end();
}

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension;
}

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with("."); }

// Calls fn, which walks through folders; what they refuse names the path.
template <typename Fn>
auto walk(const std::string& directory, const Fn& fn) {
  try {
    return fn();
  } catch (const fs::filesystem_error& error) {
    const std::string path = error.path1().string();
    fail_to_read("image_folder", path.empty() ? directory : path, error.code().value());
  }
}

std::vector<std::string> folders_in(const std::string& directory) {
  std::vector<std::string> names = walk(directory, [&] {
    std::vector<std::string> found;
    for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
      if (!is_hidden(entry.path()) && entry.is_directory()) {
        found.push_back(entry.path().filename().string());
      }
    }
    return found;
  });
  std::sort(names.begin(), names.end());
  return names;
}

// Paths of a class's images, from `root` on.
std::vector<std::string> images_in(const std::string& root, const std::string& name) {
  const std::string folder = root + "/" + name;
  std::vector<std::string> files = walk(folder, [&] {
    std::vector<std::string> found;
    for (auto it = fs::recursive_directory_iterator(folder); it != fs::end(it); ++it) {
      if (is_hidden(it->path())) {
        if (it->is_directory()) it.disable_recursion_pending();
        continue;
      }
      const std::string extension = lower_extension(it->path());
      if (is_one_of(extension, kNotRead)) {
        refuse("images must be PNG or JPEG files, got ", it->path().string(), "; convert it");
      }
      if (is_one_of(extension, kRead) && it->is_regular_file()) {
        found.push_back(it->path().string().substr(root.size() + 1));
      }
    }
    return found;
  });
  if (files.empty()) refuse("a class needs PNG or JPEG files, got none in ", folder);
  std::sort(files.begin(), files.end());
  return files;
}

using Files = std::vector<std::string>;

void append(ImageList& list, Files::const_iterator begin, Files::const_iterator end, size_t label) {
  list.files.insert(list.files.end(), begin, end);
  list.labels.resize(list.files.size(), static_cast<int32_t>(label));
}

void read_part(ImageList& list, const std::vector<std::string>& classes) {
  for (const std::string& name : folders_in(list.root)) {
    const auto known = std::lower_bound(classes.begin(), classes.end(), name);
    if (known == classes.end() || *known != name) {
      refuse("classes must be those of the training part, got ", list.root, "/", name);
    }
    const Files files = images_in(list.root, name);
    append(list, files.begin(), files.end(), static_cast<size_t>(known - classes.begin()));
  }
}

void split_classes(ImageFolders& folders, double validation_share) {
  for (size_t label = 0; label < folders.classes.size(); ++label) {
    const Files files = images_in(folders.train.root, folders.classes[label]);
    const auto boundary = std::max<std::ptrdiff_t>(
        static_cast<std::ptrdiff_t>((1 - validation_share) * static_cast<double>(files.size())), 1);
    append(folders.train, files.begin(), files.begin() + boundary, label);
    append(folders.test, files.begin() + boundary, files.end(), label);
  }
}

// "" if there is no folder for training; then the folders are the classes.
std::string test_folder_of(const std::string& directory, const std::vector<std::string>& names) {
  if (!is_one_of("train", names)) return "";
  for (const char* name : kTestFolders) {
    if (is_one_of(name, names)) return directory + "/" + name;
  }
  refuse("beside train a folder val, validation or test is needed, got none in ", directory,
         "; to split the images of one folder, name ", directory, "/train itself");
}

}  // namespace

bool has_folders(const std::string& directory) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    if (!is_hidden(entry.path()) && entry.is_directory(error)) return true;
  }
  return false;
}

ImageFolders list_image_folders(const std::string& directory, double validation_share) {
  require(validation_share > 0 && validation_share < 1, "image_folder",
          "the validation share must lie between 0 and 1, got ", validation_share);
  const std::vector<std::string> names = folders_in(directory);
  const std::string test_folder = test_folder_of(directory, names);
  const bool has_parts = !test_folder.empty();
  ImageFolders folders{.classes = {},
                       .train = {.root = has_parts ? directory + "/train" : directory},
                       .test = {.root = has_parts ? test_folder : directory}};
  folders.classes = has_parts ? folders_in(folders.train.root) : names;
  if (folders.classes.size() < 2) {
    refuse("at least two folders, one per class, are needed, got ", folders.classes.size(), " in ",
           folders.train.root);
  }
  if (has_parts) {
    read_part(folders.train, folders.classes);
    read_part(folders.test, folders.classes);
  } else {
    split_classes(folders, validation_share);
  }
  if (folders.train.count() == 0 || folders.test.count() == 0) {
    refuse("both parts need images, got ", folders.train.count(), " to train and ",
           folders.test.count(), " to test in ", directory);
  }
  return folders;
}

}  // namespace trireme
