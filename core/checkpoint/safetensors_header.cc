#include "core/checkpoint/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <tuple>
#include <unordered_set>

#include "core/base/error.h"

namespace trireme {
namespace {

using nlohmann::json;

constexpr const char* kMetadataKey = "__metadata__";
constexpr int kDeepest = 3;  // {"w": {"shape": [

constexpr SafetensorsType kTypes[] = {{"F64", 8, DType::kF64}, {"F32", 4, DType::kF32},
                                      {"I64", 8, DType::kI64}, {"I32", 4, DType::kI32},
                                      {"U8", 1, DType::kU8},   {"BOOL", 1, DType::kBool},
                                      {"F16", 2, DType::kF16}, {"BF16", 2, DType::kBF16}};

template <typename... Parts>
[[noreturn]] void refuse(const std::string& path, const Parts&... parts) {
  throw DataError(concat("safetensors: ", parts..., " in ", path));
}

const SafetensorsType& type_named(const std::string& type, const std::string& tensor,
                                  const std::string& path) {
  for (const SafetensorsType& known : kTypes) {
    if (type == known.name) return known;
  }
  refuse(path, "the type of tensor ", tensor, " must be F64, F32, F16, BF16, I64, I32, U8 or BOOL",
         ", got ", type);
}

// Looks at a header without keeping it. The parser that keeps it takes many times the size of
// brackets in brackets, and of equal keys the last one, though which was meant cannot be known.
class HeaderWatch final : public nlohmann::json_sax<json> {
 public:
  explicit HeaderWatch(const std::string& path) : path_(path) {}

  bool start_object(size_t) override { return open(); }
  bool start_array(size_t) override {
    if (depth_ == 0) refuse(path_, "the header must be a JSON object, got a list");
    return open();
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    if (depth_ == 1 && !names_.insert(name).second) {
      refuse(path_, "names must be unique, got ", name, " twice");
    }
    return true;
  }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(int64_t) override { return true; }
  bool number_unsigned(uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(json::binary_t&) override { return true; }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  bool open() {
    if (++depth_ > kDeepest) {
      refuse(path_, "the header must be an object of objects of lists, got more levels");
    }
    return true;
  }
  bool close() {
    --depth_;
    return true;
  }

  const std::string& path_;
  int depth_ = 0;
  std::unordered_set<std::string> names_;
};

json parse_json(std::span<const std::byte> text, const std::string& path) {
  const auto* first = reinterpret_cast<const char*>(text.data());
  const auto* last = first + text.size();
  HeaderWatch watch(path);
  json header;
  // Not with a callback: that takes time by the square of the number of tensors.
  if (json::sax_parse(first, last, &watch)) {
    header = json::parse(first, last, nullptr, /*allow_exceptions=*/false);
  }
  if (!header.is_object()) refuse(path, "the header must be a JSON object, got something else");
  return header;
}

std::vector<uint64_t> unsigned_list(const json& item, const char* key, const std::string& tensor,
                                    const std::string& path) {
  const auto found = item.find(key);
  std::vector<uint64_t> list;
  bool valid = found != item.end() && found->is_array();
  if (valid) {
    for (const json& number : *found) {
      valid = valid && number.is_number_unsigned();
      if (valid) list.push_back(number.get<uint64_t>());
    }
  }
  if (!valid) refuse(path, key, " of tensor ", tensor, " must be a list of whole numbers");
  return list;
}

SafetensorsEntry parse_entry(const std::string& name, const json& item, const std::string& path) {
  if (!item.is_object() || !item.contains("dtype") || !item["dtype"].is_string()) {
    refuse(path, "tensor ", name, " must have a dtype");
  }
  SafetensorsEntry entry;
  entry.name = name;
  entry.type = &type_named(item["dtype"].get<std::string>(), name, path);
  const std::vector<uint64_t> shape = unsigned_list(item, "shape", name, path);
  const std::vector<uint64_t> offsets = unsigned_list(item, "data_offsets", name, path);
  if (shape.size() > kMaxRank) {
    refuse(path, "tensor ", name, " must have at most ", kMaxRank, " dimensions, got ",
           shape.size());
  }
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    refuse(path, "data_offsets of tensor ", name, " must be [begin, end] in order");
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  auto bytes = static_cast<int64_t>(entry.type->width_bytes);
  for (const uint64_t extent : shape) {
    int64_t value = 0;
    if (__builtin_add_overflow(extent, 0, &value) || __builtin_mul_overflow(bytes, value, &bytes)) {
      refuse(path, "the shape of tensor ", name, " overflows");
    }
    entry.shape.push_back(value);
  }
  if (static_cast<uint64_t>(bytes) != entry.end - entry.begin) {
    refuse(path, "tensor ", name, " of type ", entry.type->name, " and shape ", entry.shape,
           " takes ", bytes, " bytes, got ", entry.end - entry.begin);
  }
  return entry;
}

// Tensors must follow one another from the start of the data to its end.
void check_layout(std::vector<SafetensorsEntry>& entries, uint64_t data_bytes,
                  const std::string& path) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  uint64_t expected = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != expected) {
      refuse(path, "tensor ", entry.name, " must start at byte ", expected,
             " of the data, right after its neighbour, got ", entry.begin);
    }
    expected = entry.end;
  }
  if (expected != data_bytes) {
    refuse(path, "the header describes ", expected, " bytes of data, got ", data_bytes);
  }
}

}  // namespace

const SafetensorsType& safetensors_type_of(DType dtype) {
  for (const SafetensorsType& type : kTypes) {
    if (type.dtype == dtype) return type;
  }
  fail("safetensors", "no file type for dtype ", dtype);
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                           const std::string& path) {
  uint64_t header_bytes = 0;
  if (file.size() < sizeof(header_bytes)) {
    refuse(path, "a file takes at least 8 bytes, got ", file.size());
  }
  std::memcpy(&header_bytes, file.data(), sizeof(header_bytes));
  file = file.subspan(sizeof(header_bytes));
  if (header_bytes > kMaxSafetensorsHeaderBytes) {
    refuse(path, "the header must not exceed ", kMaxSafetensorsHeaderBytes, " bytes, got ",
           header_bytes);
  }
  if (header_bytes > file.size()) {
    refuse(path, "the header takes ", header_bytes, " bytes, got ", file.size(),
           " (the file is cut off)");
  }
  const json items = parse_json(file.first(header_bytes), path);
  SafetensorsHeader header;
  header.data_offset = sizeof(header_bytes) + header_bytes;
  for (const auto& [name, item] : items.items()) {
    if (name != kMetadataKey) {
      header.entries.push_back(parse_entry(name, item, path));
      continue;
    }
    if (!item.is_object()) refuse(path, "__metadata__ must be an object");
    for (const auto& [key, value] : item.items()) {
      if (!value.is_string()) refuse(path, "__metadata__ must hold text only, see ", key);
      header.metadata[key] = value.get<std::string>();
    }
  }
  check_layout(header.entries, file.size() - header_bytes, path);
  return header;
}

std::string make_safetensors_header(const SafetensorsHeader& header) {
  json items = json::object();
  if (!header.metadata.empty()) items[kMetadataKey] = header.metadata;
  for (const SafetensorsEntry& entry : header.entries) {
    require(entry.name != kMetadataKey, "safetensors", "a tensor cannot be called ", kMetadataKey);
    require(!items.contains(entry.name), "safetensors", "names must be unique, got ", entry.name,
            " twice");
    items[entry.name] = {{"dtype", entry.type->name},
                         {"shape", std::vector<int64_t>(entry.shape.begin(), entry.shape.end())},
                         {"data_offsets", {entry.begin, entry.end}}};
  }
  std::string text;
  try {
    text = items.dump();
  } catch (const json::type_error&) {
    fail("safetensors", "names and metadata must be UTF-8 text");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t header_bytes = text.size();
  require(header_bytes <= kMaxSafetensorsHeaderBytes, "safetensors", "the header must not exceed ",
          kMaxSafetensorsHeaderBytes, " bytes, got ", header_bytes);
  std::string length(sizeof(header_bytes), '\0');
  std::memcpy(length.data(), &header_bytes, sizeof(header_bytes));
  return length + text;
}

}  // namespace trireme
