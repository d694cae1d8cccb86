#include "core/data/token_files.h"

#include <glob.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/mapped_file.h"
#include "core/data/text_tree.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

// The header of token files: 256 little-endian int32, of which three are used.
constexpr int32_t kTokenMagic = 20240520;
constexpr int32_t kWideTokenMagic = 20240801;  // the same layout with 32-bit tokens
constexpr int32_t kTokenVersion = 1;
constexpr size_t kHeaderBytes = 256 * sizeof(int32_t);

template <typename... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  throw DataError(concat("open_tokens: ", parts...));
}

bool has_token_extension(const fs::path& path) {
  return path.extension() == ".bin" || path.extension() == ".u16";
}

TokenSegment open_text(const std::string& path) {
  auto file = std::make_shared<MappedFile>(path, MappedFile::Access::kReadOnly, "open_tokens");
  if (file->size_bytes() == 0) refuse("a text file must not be empty, got ", path);
  return {file, file->data(), 1, static_cast<int64_t>(file->size_bytes()), path};
}

// The tokens behind a header, whose count must be that of the file.
TokenSegment open_with_header(std::shared_ptr<MappedFile> file, const int32_t (&header)[3]) {
  const std::string& path = file->path();
  if (header[1] != kTokenVersion) {
    refuse("version must be ", kTokenVersion, ", got ", header[1], " in ", path);
  }
  if (file->size_bytes() < kHeaderBytes) {
    refuse("the header takes ", kHeaderBytes, " bytes, got a file of ", file->size_bytes(), ": ",
           path, "; it is cut off");
  }
  const int64_t body_bytes = static_cast<int64_t>(file->size_bytes() - kHeaderBytes);
  if (body_bytes != int64_t{header[2]} * 2) {
    refuse("the header promises ", header[2], " tokens of 2 bytes, got ", body_bytes, " bytes in ",
           path, "; the file is cut off or was not finished");
  }
  if (header[2] == 0) refuse("a token file must hold tokens, got none in ", path);
  return {file, file->data() + kHeaderBytes, 2, header[2], path};
}

TokenSegment open_token_file(const std::string& path) {
  auto file = std::make_shared<MappedFile>(path, MappedFile::Access::kReadOnly, "open_tokens");
  const size_t size = file->size_bytes();
  if (size == 0) refuse("a token file must not be empty, got ", path);
  int32_t header[3] = {};
  std::memcpy(header, file->data(), std::min(size, sizeof(header)));
  if (header[0] == kTokenMagic) return open_with_header(std::move(file), header);
  if (header[0] == kWideTokenMagic) refuse("tokens must have 16 bits, got 32-bit tokens in ", path);
  if (size % 2 != 0) {
    refuse("raw uint16 tokens take an even number of bytes, got ", size, " in ", path);
  }
  return {file, file->data(), 2, static_cast<int64_t>(size / 2), path};
}

// Small files by the thousand: one buffer is cheaper than as many mappings.
TokenSegment open_text_tree(const std::string& directory) {
  auto text = std::make_shared<std::string>();
  for (const std::string& path : list_text_files(directory)) {
    const MappedFile file(path, MappedFile::Access::kReadOnly, "open_tokens");
    text->append(reinterpret_cast<const char*>(file.data()), file.size_bytes());
  }
  if (text->empty()) {
    refuse("a directory must hold .bin or .u16 token files or text files, got neither in ",
           directory);
  }
  const auto count = static_cast<int64_t>(text->size());
  return {text, text->data(), 1, count, directory};
}

std::vector<std::string> token_files_in(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code error;
  const fs::directory_iterator entries(directory, error);
  if (error) refuse("cannot read the directory ", directory, ", ", error.message());
  for (const fs::directory_entry& entry : entries) {
    if (entry.is_regular_file() && has_token_extension(entry.path())) {
      files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> expand_glob(const std::string& pattern) {
  glob_t found = {};
  const int status = ::glob(pattern.c_str(), 0, nullptr, &found);
  std::vector<std::string> files;
  for (size_t i = 0; status == 0 && i < found.gl_pathc; ++i) files.push_back(found.gl_pathv[i]);
  ::globfree(&found);
  if (files.empty()) refuse("no file matches ", pattern);
  for (const std::string& file : files) {
    if (!has_token_extension(file)) {
      refuse("a pattern must match .bin or .u16 files only, got ", file);
    }
  }
  return files;
}

// As many tokens to train as int(0.9 * n): the split nanoGPT uses for text.
TokenSplit split_90_10(const TokenSource& all) {
  const int64_t boundary = all.size() * 9 / 10;
  return {all.slice(0, boundary, all.name() + " (first 90 %)"),
          all.slice(boundary, all.size(), all.name() + " (last 10 %)")};
}

TokenSplit split_shards(const std::string& path, const std::vector<std::string>& files,
                        int64_t vocab_size) {
  std::vector<TokenSegment> train, validation;
  for (const std::string& file : files) {
    const bool is_validation = fs::path(file).filename().string().find("val") != std::string::npos;
    (is_validation ? validation : train).push_back(open_token_file(file));
  }
  if (train.empty() || validation.empty()) {
    return split_90_10({path, std::move(train.empty() ? validation : train), vocab_size});
  }
  return {{path + " (training shards)", std::move(train), vocab_size},
          {path + " (validation shards)", std::move(validation), vocab_size}};
}

}  // namespace

TokenSplit open_tokens(const std::string& path, int64_t vocab_size) {
  const int64_t text_vocab = vocab_size > 0 ? vocab_size : kByteVocab;
  const int64_t token_vocab = vocab_size > 0 ? vocab_size : kGpt2Vocab;
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (!fs::exists(status)) {
    if (path.find_first_of("*?[") == std::string::npos) refuse(path, " does not exist");
    return split_shards(path, expand_glob(path), token_vocab);
  }
  if (!fs::is_directory(status)) {
    if (has_token_extension(path)) return split_shards(path, {path}, token_vocab);
    return split_90_10({path, {open_text(path)}, text_vocab});
  }
  const std::vector<std::string> shards = token_files_in(path);
  if (!shards.empty()) return split_shards(path, shards, token_vocab);
  return split_90_10({path, {open_text_tree(path)}, text_vocab});
}

}  // namespace trireme
