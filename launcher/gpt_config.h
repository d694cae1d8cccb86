// The model that the flags of `trireme-train gpt` describe.

#pragma once

#include <optional>
#include <string>

#include "core/models/gpt.h"
#include "launcher/train_options.h"

namespace trireme {

/// `from_file`: what the config.json beside the initial weights says; flags win over it. The
/// vocabulary is the data's. Throws InvalidArgument where --arch says another kind.
GptConfig gpt_config_of(const GptOptions& options, const std::optional<GptConfig>& from_file,
                        int64_t vocab_size);

/// "4 layers, 4 heads, 128 wide", and what is not GPT-2's.
std::string shape_text(const GptConfig& config);

}  // namespace trireme
