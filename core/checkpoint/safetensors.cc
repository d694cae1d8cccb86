#include "core/checkpoint/safetensors.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/sync_directory.h"
#include "core/checkpoint/safetensors_header.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"

namespace trireme {
namespace {

// A byte that is neither 0 nor 1 is no valid bool in C++.
Tensor normalise_bools(const SafetensorsEntry& entry, const std::byte* bytes) {
  Tensor out = empty(entry.shape, {DType::kBool});
  bool* values = out.data<bool>();
  for (int64_t i = 0; i < out.numel(); ++i) values[i] = bytes[i] != std::byte{0};
  return out;
}

Tensor make_tensor(const SafetensorsEntry& entry, std::byte* bytes,
                   const std::shared_ptr<const MappedFile>& file) {
  if (entry.type->dtype == DType::kBool) return normalise_bools(entry, bytes);
  const auto size_bytes = static_cast<int64_t>(entry.end - entry.begin);
  const bool aligned =
      reinterpret_cast<uintptr_t>(bytes) % static_cast<uintptr_t>(entry.type->width_bytes) == 0;
  if (aligned && size_bytes > 0) {
    return Tensor(Storage::borrow(bytes, size_bytes, Device{}, file), 0, entry.shape,
                  contiguous_strides(entry.shape), entry.type->dtype);
  }
  Tensor out = empty(entry.shape, {entry.type->dtype});
  if (size_bytes > 0) std::memcpy(out.raw_data(), bytes, static_cast<size_t>(size_bytes));
  return out;
}

}  // namespace

SafetensorsFile read_safetensors(const std::shared_ptr<const MappedFile>& file) {
  SafetensorsHeader header = parse_safetensors_header(file->bytes(), file->path());
  SafetensorsFile out;
  std::byte* data = file->data() + header.data_offset;
  for (const SafetensorsEntry& entry : header.entries) {
    out.tensors.emplace_back(entry.name, make_tensor(entry, data + entry.begin, file));
  }
  out.metadata = std::move(header.metadata);
  return out;
}

SafetensorsFile load_safetensors(const std::string& path) {
  return read_safetensors(std::make_shared<const MappedFile>(path, MappedFile::Access::kCopyOnWrite,
                                                             "load_safetensors"));
}

void write_safetensors(DurableFile& file, const StateDict& tensors,
                       const SafetensorsMetadata& metadata) {
  std::vector<const StateDict::value_type*> order;
  for (const auto& item : tensors) {
    require(item.second.defined(), "safetensors", "tensor ", item.first, " must be defined");
    order.push_back(&item);
  }
  // Wide elements first: then every tensor is aligned without padding, which the format forbids.
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const int64_t width_a = size_of(a->second.dtype()), width_b = size_of(b->second.dtype());
    return width_a != width_b ? width_a > width_b : a->first < b->first;
  });
  SafetensorsHeader header;
  header.metadata = metadata;
  uint64_t offset = 0;
  for (const auto* item : order) {
    const Tensor& tensor = item->second;
    const uint64_t end = offset + static_cast<uint64_t>(tensor.nbytes());
    header.entries.push_back(
        {item->first, &safetensors_type_of(tensor.dtype()), tensor.shape(), offset, end});
    offset = end;
  }
  file.write(make_safetensors_header(header));
  for (const auto* item : order) {
    const Tensor dense = to_contiguous(to_device(item->second, Device{}));
    file.write(dense.raw_data(), static_cast<size_t>(dense.nbytes()));
  }
}

void save_safetensors(const std::string& path, const StateDict& tensors,
                      const SafetensorsMetadata& metadata) {
  constexpr const char* kOp = "save_safetensors";
  const std::string temporary = concat(path, ".tmp-", ::getpid());
  try {
    DurableFile file(temporary, kOp);
    write_safetensors(file, tensors, metadata);
    file.commit();
    if (std::rename(temporary.c_str(), path.c_str()) != 0)
      throw_io_error("write", path, errno, kOp);
  } catch (...) {
    std::remove(temporary.c_str());
    throw;
  }
  sync_parent_directory(path);
}

}  // namespace trireme
