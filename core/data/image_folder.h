// Lists folders of images: a folder per class, the layout of torchvision's ImageFolder.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trireme {

/// Images of one part. Image i is the file root/files[i] of class labels[i].
struct ImageList {
  std::string root;
  std::vector<std::string> files = {};
  std::vector<int32_t> labels = {};

  int64_t count() const { return static_cast<int64_t>(files.size()); }
  std::string path(int64_t i) const { return root + "/" + files[static_cast<size_t>(i)]; }
};

struct ImageFolders {
  std::vector<std::string> classes;  // names; a label is a place in it
  ImageList train;
  ImageList test;
};

/// True if `directory` holds folders, hidden ones not counted. False too where it cannot be read.
bool has_folders(const std::string& directory);

/// Finds the .png, .jpg and .jpeg files (in any case) of each class folder and of the folders below
/// it; files and class folders may be symbolic links. Classes, and the files of each, are sorted by
/// name, byte by byte.
///
/// With a folder `train` and one called `val`, `validation` or `test` (the first of them that is
/// there), those are the two parts; their classes are the folders in `train`. Without `train`, the
/// folders in `directory` are the classes, and of each class's n files the first
/// floor((1 - validation_share) n) are for training (at least one) and the rest for testing.
///
/// Throws DataError where a part or class has no image, a class of the test part is not one of the
/// training part, there are fewer than two classes, or a class holds images of another format.
/// Requires 0 < validation_share < 1.
ImageFolders list_image_folders(const std::string& directory, double validation_share);

}  // namespace trireme
