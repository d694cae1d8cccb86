#include "core/checkpoint/checkpoint.h"

#include <zlib.h>

#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/mapped_file.h"
#include "core/base/sync_directory.h"
#include "core/checkpoint/catalog.h"
#include "core/checkpoint/directory_lock.h"
#include "core/checkpoint/durable_file.h"
#include "core/checkpoint/manifest.h"
#include "core/checkpoint/publish.h"
#include "core/checkpoint/safetensors.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModelName = "model.safetensors";
// Readers of the Hugging Face libraries ask what kind of tensors these are, and fail without a
// word.
const SafetensorsMetadata kMetadata = {{"format", "pt"}};
constexpr const char* kOptimizerName = "optimizer.safetensors";
constexpr const char* kStateName = "state.json";

template <typename Fn>
void write_file(const std::string& directory, const char* name, Manifest& manifest,
                const Fn& write) {
  DurableFile file(directory + "/" + name);
  write(file);
  file.commit();
  manifest.files[name] = {file.size_bytes(), file.crc32()};
}

void write_files(const std::string& directory, const Snapshot& snapshot, int64_t serial) {
  Manifest manifest{snapshot.step, serial, {}};
  write_file(directory, kModelName, manifest,
             [&](DurableFile& file) { write_safetensors(file, snapshot.model, kMetadata); });
  write_file(directory, kOptimizerName, manifest,
             [&](DurableFile& file) { write_safetensors(file, snapshot.optimizer); });
  write_file(directory, kStateName, manifest,
             [&](DurableFile& file) { file.write(snapshot.state.to_json()); });
  const std::string text = manifest_to_json(manifest);
  write_file(directory, kManifestName, manifest, [&](DurableFile& file) { file.write(text); });
  sync_directory(directory);
}

void delete_old(const std::string& directory, int keep) {
  std::vector<CheckpointInfo> all = list_checkpoints(directory);
  const auto excess = static_cast<int64_t>(all.size()) - keep;
  for (int64_t i = 0; i < excess; ++i) delete_checkpoint(all[static_cast<size_t>(i)].path);
}

std::shared_ptr<const MappedFile> map_checked(const std::string& directory, const char* name,
                                              const Manifest& manifest) {
  const auto expected = manifest.files.find(name);
  const std::string path = directory + "/" + name;
  if (expected == manifest.files.end()) {
    throw DataError(concat("checkpoint: the manifest does not name ", path));
  }
  auto file =
      std::make_shared<const MappedFile>(path, MappedFile::Access::kCopyOnWrite, "checkpoint");
  const auto crc =
      ::crc32_z(0, reinterpret_cast<const unsigned char*>(file->data()), file->size_bytes());
  if (crc != expected->second.crc32) {
    throw DataError(concat("checkpoint: the checksum of ", path, " must be ",
                           expected->second.crc32, ", got ", crc,
                           "; the file is damaged, resume from an older checkpoint"));
  }
  return file;
}

}  // namespace

std::string save_checkpoint(const std::string& directory, const Snapshot& snapshot, int keep) {
  require(snapshot.step >= 0, "checkpoint", "step must not be negative, got ", snapshot.step);
  make_directories(directory);
  const auto lock = lock_directory(directory);
  remove_leftovers(directory);
  const std::vector<CheckpointInfo> existing = list_checkpoints(directory);
  const int64_t serial = existing.empty() ? 1 : existing.back().serial + 1;

  const std::string name = checkpoint_name(snapshot.step);
  const std::string final = directory + "/" + name;
  const std::string temporary = temporary_of(final);
  std::error_code error;
  fs::create_directory(temporary, error);
  if (error) throw_io_error("create", temporary, error.value());
  try {
    write_files(temporary, snapshot, serial);
    publish(temporary, final);
  } catch (...) {
    remove_quietly(temporary);
    throw;
  }
  sync_directory(directory);
  remove_quietly(temporary);  // there only if a checkpoint of this step was replaced
  if (keep > 0) delete_old(directory, keep);
  return final;
}

Snapshot load_checkpoint(const std::string& path) {
  const Manifest manifest = read_manifest(path);
  Snapshot snapshot;
  snapshot.step = manifest.step;
  snapshot.model = read_safetensors(map_checked(path, kModelName, manifest)).tensors;
  snapshot.optimizer = read_safetensors(map_checked(path, kOptimizerName, manifest)).tensors;
  const auto state = map_checked(path, kStateName, manifest);
  const std::string text(reinterpret_cast<const char*>(state->data()), state->size_bytes());
  snapshot.state = StateValues::from_json(text, state->path());
  return snapshot;
}

}  // namespace trireme
