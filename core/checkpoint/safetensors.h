// safetensors files: named tensors that any tool can read. See docs/checkpoint_format.md.

#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/base/mapped_file.h"
#include "core/checkpoint/durable_file.h"
#include "core/tensor/state_dict.h"

namespace trireme {

using SafetensorsMetadata = std::map<std::string, std::string>;

struct SafetensorsFile {
  StateDict tensors;  // in the order of the data
  SafetensorsMetadata metadata;
};

/// Reads a file written by Trireme or any other tool; types that Trireme has no dtype for are
/// errors. load_state converts into a model of another floating dtype. The tensors lie in a private
/// mapping of the file where its layout allows it, so loading is fast and only touched pages take
/// memory; writing into them never changes the file. Throws IoError when the file cannot be read
/// and DataError, naming file and tensor, when its content is wrong.
SafetensorsFile load_safetensors(const std::string& path);
/// The same for a file that is mapped already, with Access::kCopyOnWrite.
SafetensorsFile read_safetensors(const std::shared_ptr<const MappedFile>& file);

/// Writes `tensors` to `path`, replacing a file of that name only once the new one is complete and
/// on the disk. The result is the same for the same content, whatever the order of `tensors`.
/// Requires unique names; tensors of a GPU are brought to the host one by one. Throws IoError, and
/// then leaves no file behind.
void save_safetensors(const std::string& path, const StateDict& tensors,
                      const SafetensorsMetadata& metadata = {});
/// The same into a file that is open, without commit.
void write_safetensors(DurableFile& file, const StateDict& tensors,
                       const SafetensorsMetadata& metadata = {});

}  // namespace trireme
