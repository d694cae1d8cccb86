// The options of trireme-train: one struct, filled from flags. `trireme-train gpt --help` prints
// what stands here, with defaults.

#pragma once

#include <cstdint>
#include <string>

#include "core/data/image_files.h"
#include "distributed/env.h"
#include "launcher/args.h"

namespace trireme {

struct TrainOptions {
  // Data and run directory.
  std::string data;
  std::string out;     // default: the launcher's run directory, else runs/<run id>
  std::string device;  // default: TRIREME_DEVICE
  std::string resume = "auto";
  std::string init_from;
  int64_t checkpoint_every = 0;
  int64_t keep_checkpoints = 3;

  // Length and size of a step.
  int64_t steps = 1000;
  int64_t batch = 12;
  int64_t accumulate = 1;
  int64_t seed = 1337;
  std::string precision = "f32";  // launcher/precision.h

  // Optimizer and schedule.
  std::string optimizer = "adamw";
  std::string schedule = "cosine";
  double lr = 1e-3;
  double min_lr = -1;  // negative: lr / 10
  int64_t warmup = 100;
  double weight_decay = 0.1;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double momentum = 0.9;
  double alpha = 0.99;
  bool centered = false;
  double trust = 0.001;
  bool stochastic_rounding = false;
  double plateau_factor = 0.5;
  int64_t plateau_patience = 2;
  double clip = 1.0;
  double clip_value = 0;
  double ema = 0;

  // Evaluation and reporting.
  int64_t eval_every = 250;
  int64_t eval_batches = 50;
  int64_t log_every = 10;

  int64_t loader_threads = 0;  // 0: see choose_loader_threads

  // Parallelism.
  std::string backend = "auto";
  int64_t bucket_mb = 0;  // 0: TRIREME_BUCKET_MB
  int64_t check_replicas_every = 0;
  bool cuda_graph = false;

  // Who this rank is; negative: the environment says it.
  int rank = -1;
  int world_size = -1;
  int local_rank = -1;
  int local_world_size = -1;
};

/// Of the tasks on text.
struct TextOptions {
  std::string order = "random";
  int64_t vocab = 0;  // 0: 256 for text, 50257 for token files
  int64_t sample = 0;
  std::string prompt = "\n";
  double temperature = 0.8;
};

struct GptOptions {
  std::string size;       // of core/models/gpt.h; "": none
  std::string arch = {};  // gpt2 or llama; "": gpt2, or what the weights of --init-from are
  // 0: what `size` says, else 4, 4, 128 and 64.
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t dim = 0;
  int64_t context = 0;
  // 0 or "": what `arch` says.
  int64_t kv_heads = 0;
  int64_t intermediate = 0;
  std::string norm = {};        // layer, rms
  std::string activation = {};  // gelu, swiglu
  std::string position = {};    // learned, rotary
  std::string bias = {};        // yes, no
  std::string head = {};        // tied, untied
  double norm_eps = 0;
  double rope_theta = 0;
  double dropout = 0.0;
  int64_t vocab_multiple = 1;
  bool recompute_blocks = false;
  TextOptions text = {};
};

struct LstmOptions {
  int64_t layers = 2;
  int64_t dim = 256;
  int64_t context = 64;
  double dropout = 0.0;
  TextOptions text = {};
};

struct MlpOptions {
  std::string hidden = "1024,1024";
  double dropout = 0.0;
  ImageOptions images;
};

struct ResNetOptions {
  int64_t depth = 18;
  int64_t width = 64;
  std::string stem = "small";
  ImageOptions images;
};

void add_flags(ArgParser& parser, TrainOptions& options);
void add_flags(ArgParser& parser, GptOptions& options);
void add_flags(ArgParser& parser, LstmOptions& options);
void add_flags(ArgParser& parser, MlpOptions& options);
void add_flags(ArgParser& parser, ResNetOptions& options);

/// What was given of --rank and its like.
RankFlags rank_flags_of(const TrainOptions& options);

/// Throws InvalidArgument naming the flag when values contradict each other or the world size, or
/// ask for what this build lacks.
void check(const TrainOptions& options, int world_size);

}  // namespace trireme
