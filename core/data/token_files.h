// Opens text and token files for language models and splits them into training and validation.
//
// Formats and their detection are described in docs/data_formats.md.

#pragma once

#include <cstdint>
#include <string>

#include "core/data/token_source.h"

namespace trireme {

/// Vocabulary of byte-level text.
inline constexpr int64_t kByteVocab = 256;
/// Vocabulary of uint16 files unless the caller says otherwise: GPT-2's byte pair encoding.
inline constexpr int64_t kGpt2Vocab = 50257;

struct TokenSplit {
  TokenSource train;
  TokenSource validation;
};

/// Opens `path`, which may be
///   a text file           one token per byte
///   a .bin or .u16 file   uint16 tokens, with the 256-word header (magic 20240520) or without
///   a directory           its .bin and .u16 files in sorted order if it has any, else the text
///   files
///                         of the whole tree in sorted order (see list_text_files)
///   a glob pattern        the .bin and .u16 files that match, in sorted order
/// Shards whose file name contains "val" are the validation part; without any (or with nothing
/// else), as for text, the last 10 % of the tokens are. Token files are memory-mapped and checked
/// against the vocabulary as they are read, so opening is fast at any size.
///
/// `vocab_size` 0 means kByteVocab for text and kGpt2Vocab for token files. Throws DataError for a
/// path that does not exist, an empty file, a header that contradicts the file's size, tokens of
/// another width, and a directory without usable files.
TokenSplit open_tokens(const std::string& path, int64_t vocab_size = 0);

}  // namespace trireme
