// What a Llama's config.json says, as a GptConfig.

#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/mapped_file.h"
#include "core/models/llama_checkpoint.h"

namespace trireme {
namespace {

using Json = nlohmann::json;

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& path) : path_(path) {
    const MappedFile file(path, MappedFile::Access::kReadOnly, "llama_config");
    const auto* text = reinterpret_cast<const char*>(file.data());
    json_ = Json::parse(text, text + file.size_bytes(), nullptr, /*allow_exceptions=*/false);
    if (!json_.is_object()) reject("it must be a JSON object");
  }

  template <typename... Parts>
  [[noreturn]] void reject(const Parts&... parts) const {
    throw DataError(concat("llama_config: ", path_, ": ", parts...));
  }

  bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }
  /// Requires has(key).
  const Json& at(const char* key) const { return json_[key]; }

  int64_t positive(const char* key, std::optional<int64_t> usual = {}) const {
    if (!has(key) && usual) return *usual;
    if (!has(key)) reject(key, " is missing");
    const Json& value = at(key);
    constexpr int64_t kMost = int64_t{1} << 30;
    if (!value.is_number_integer() || value < 1 || value > kMost) {
      reject(key, " must be a whole number from 1 to ", kMost, ", got ", value.dump());
    }
    return value;
  }
  double positive_real(const Json& in, const char* key, double usual) const {
    if (!in.contains(key) || in[key].is_null()) return usual;
    if (!in[key].is_number() || !(in[key] > 0)) {
      reject(key, " must be a positive number, got ", in[key].dump());
    }
    return in[key];
  }
  double positive_real(const char* key, double usual) const {
    return positive_real(json_, key, usual);
  }
  bool flag(const char* key) const {
    if (!has(key)) return false;
    if (!at(key).is_boolean()) reject(key, " must be true or false, got ", at(key).dump());
    return at(key);
  }
  /// Where the entry is there, it must have this value.
  void must_be(const char* key, const Json& wanted, const char* why) const {
    if (has(key) && at(key) != wanted) {
      reject(key, " must be ", wanted.dump(), ", got ", at(key).dump(), "; ", why);
    }
  }

 private:
  std::string path_;
  Json json_;
};

/// The base of rotary positions. Newer files keep it in rope_parameters.
double rope_theta_of(const ConfigFile& file) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!file.has(key)) continue;
    const Json& rope = file.at(key);
    const char* kind = rope.is_object() && rope.contains("rope_type") ? "rope_type" : "type";
    if (!rope.is_object() || (rope.contains(kind) && rope[kind] != "default")) {
      file.reject(key, " must be absent or of type default, got ", rope.dump(),
                  "; scaled rotary positions are not supported");
    }
    if (rope.contains("rope_theta")) return file.positive_real(rope, "rope_theta", 10000);
  }
  return file.positive_real("rope_theta", 10000);
}

}  // namespace

GptConfig llama_config(const std::string& path) {
  const ConfigFile file(path);
  if (!file.has("model_type")) file.reject("model_type is missing");
  file.must_be("model_type", "llama", "no other model of its kind is known");
  file.must_be("hidden_act", "silu", "other activations are not supported");
  GptConfig c = llama_shaped({.vocab_size = file.positive("vocab_size"),
                              .context = file.positive("max_position_embeddings", 2048),
                              .layers = file.positive("num_hidden_layers"),
                              .heads = file.positive("num_attention_heads"),
                              .dim = file.positive("hidden_size")});
  c.kv_heads = file.positive("num_key_value_heads", c.heads);
  c.hidden = file.positive("intermediate_size");
  if (c.dim % c.heads != 0) {
    file.reject("hidden_size must be a multiple of num_attention_heads, got ", c.dim, " and ",
                c.heads);
  }
  if (c.heads % c.kv_heads != 0) {
    file.reject("num_key_value_heads must divide num_attention_heads, got ", c.kv_heads, " and ",
                c.heads);
  }
  file.must_be("head_dim", c.dim / c.heads,
               "heads of another width than hidden_size / num_attention_heads are not supported");
  c.norm_eps = file.positive_real("rms_norm_eps", 1e-6);
  c.rope_theta = rope_theta_of(file);
  c.is_head_tied = file.flag("tie_word_embeddings");
  if (file.flag("attention_bias") != file.flag("mlp_bias")) {
    file.reject(
        "attention_bias and mlp_bias must agree; biases in one of them only are not "
        "supported");
  }
  c.bias = file.flag("attention_bias") ? Bias::kYes : Bias::kNo;
  return c;
}

}  // namespace trireme
