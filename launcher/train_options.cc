#include "launcher/train_options.h"

#include "core/base/error.h"
#include "core/base/settings.h"

namespace trireme {
namespace {

// Products of two counts, and of a count and the number of ranks, fit into 64 bits.
constexpr double kMostOfCount = 1 << 30;
// Products of three sizes of a layer and an element's bytes do.
constexpr double kMostOfSize = 1 << 20;
// A batch of square images has less than 2^63 bytes.
constexpr double kMostOfSide = 1 << 14;

void add_image_flags(ArgParser& parser, ImageOptions& o) {
  parser.section("Images");
  parser.add("--mirror", &o.mirror, "exchange left and right in half of the training images");
  parser
      .add("--crop", &o.crop_padding,
           "IDX, CIFAR-10: shift training images by up to so many pixels each way")
      .at_least(0)
      .at_most(kMostOfSize);
  parser.add("--image-size", &o.image_size, "folders: rows and columns that images are scaled to")
      .at_least(1)
      .at_most(kMostOfSide)
      .default_text("224");
  parser
      .add("--crop-area", &o.crop_area,
           "folders: least share of its area that a random crop of a training image takes; 1 crops "
           "nothing at random")
      .above(0)
      .at_most(1)
      .default_text("0.08");
  parser
      .add("--validation-share", &o.validation_share,
           "folders without train and val: share of each class's images to validate on")
      .above(0)
      .at_most(0.99)
      .default_text("0.2");
}

void add_optimizer_flags(ArgParser& parser, TrainOptions& o) {
  parser.section("Optimizer");
  parser
      .add("--optimizer", &o.optimizer,
           "update rule. lamb, lars: for large batches; muon: of hidden layers' matrices, with "
           "adamw "
           "for the rest")
      .one_of({"adamw", "adam", "sgd", "adagrad", "rmsprop", "lion", "lamb", "lars", "muon"});
  parser.add("--weight-decay", &o.weight_decay, "for matrices; biases and norms have none")
      .at_least(0);
  const auto rule = [&](const char* flag, auto* value, const char* about,
                        std::vector<std::string> rules) -> ArgFlag& {
    return parser.add(flag, value, about).only_with("--optimizer", &o.optimizer, std::move(rules));
  };
  rule("--beta1", &o.beta1, "Adam, LAMB, Lion, Muon: decay of the mean gradient",
       {"adamw", "adam", "lamb", "lion", "muon"})
      .at_least(0)
      .at_most(1);
  rule("--beta2", &o.beta2, "Adam, LAMB, Muon: decay of the mean square; Lion: of its moment",
       {"adamw", "adam", "lamb", "lion", "muon"})
      .at_least(0)
      .at_most(1);
  rule("--momentum", &o.momentum, "SGD, RMSprop, LARS, Muon: momentum",
       {"sgd", "rmsprop", "lars", "muon"})
      .at_least(0);
  rule("--alpha", &o.alpha, "RMSprop: decay of the mean square", {"rmsprop"})
      .at_least(0)
      .at_most(1);
  rule("--centered", &o.centered, "RMSprop: take the mean gradient off", {"rmsprop"});
  rule("--trust", &o.trust, "LARS: a layer's step as a share of its norm, at --lr 1", {"lars"})
      .above(0);
  parser.add("--stochastic-rounding", &o.stochastic_rounding,
             "with bf16-pure: no f32 copies, weights are rounded up or down at random");
  parser.add("--clip", &o.clip, "largest global gradient norm; 0 does not clip").at_least(0);
  parser
      .add("--clip-value", &o.clip_value,
           "largest magnitude of a gradient's element, with --clip 0; 0 does not clip")
      .at_least(0);
  parser
      .add("--ema", &o.ema,
           "decay of a moving average of the weights, as 0.999, which validations (plateau listens "
           "to "
           "them) and the sample then use; 0: none")
      .at_least(0)
      .at_most(0.999999);

  parser.section("Learning rate");
  parser.add("--lr", &o.lr, "learning rate after warm-up").above(0);
  parser
      .add("--schedule", &o.schedule,
           "learning rate over the steps. plateau: falls when the validation loss does not")
      .one_of({"cosine", "constant", "linear", "one-cycle", "inverse-sqrt", "plateau"});
  parser.add("--warmup", &o.warmup, "steps of linear rise to --lr; one-cycle: of its rise")
      .at_least(0)
      .at_most(kMostOfCount);
  parser
      .add("--min-lr", &o.min_lr,
           "learning rate at the end of cosine, linear and one-cycle; the least of plateau")
      .only_with("--schedule", &o.schedule, {"cosine", "linear", "one-cycle", "plateau"})
      .at_least(0)
      .default_text("lr / 10");
  parser.add("--plateau-factor", &o.plateau_factor, "plateau: what the learning rate falls by")
      .only_with("--schedule", &o.schedule, {"plateau"})
      .above(0)
      .at_most(0.999);
  parser
      .add("--plateau-patience", &o.plateau_patience,
           "plateau: validations that may be no better before it falls")
      .only_with("--schedule", &o.schedule, {"plateau"})
      .at_least(0)
      .at_most(kMostOfCount);
}

}  // namespace

void add_flags(ArgParser& parser, TrainOptions& o) {
  parser.section("Data and run directory");
  parser.add("--data", &o.data, "what to train on; see docs/data_formats.md")
      .value_name("PATH")
      .required();
  parser.add("--out", &o.out, "run directory: checkpoints, metrics.jsonl, summary.json")
      .value_name("DIR")
      .default_text("the launcher's run directory, else runs/<run id>");
  parser
      .add("--resume", &o.resume,
           "auto goes on from the newest checkpoint in --out, never starts anew, PATH names a "
           "checkpoint")
      .value_name("auto|never|PATH");
  parser
      .add("--init-from", &o.init_from,
           "safetensors file to take the initial weights from; gpt: or the index of several")
      .value_name("FILE");
  parser
      .add("--checkpoint-every", &o.checkpoint_every,
           "steps between checkpoints; 0 writes one at the end only")
      .at_least(0)
      .at_most(kMostOfCount);
  parser.add("--keep-checkpoints", &o.keep_checkpoints, "newest checkpoints to keep; 0 keeps all")
      .at_least(0)
      .at_most(kMostOfCount);

  parser.section("Step");
  parser.add("--steps", &o.steps, "optimizer steps").at_least(0).at_most(kMostOfCount);
  parser.add("--batch", &o.batch, "sequences or images per step, over all ranks")
      .at_least(1)
      .at_most(kMostOfCount);
  parser.add("--accumulate", &o.accumulate, "micro-batches that one step is split into")
      .at_least(1)
      .at_most(kMostOfCount);
  parser.add("--seed", &o.seed, "seed of weights, data order and dropout");
  parser
      .add("--precision", &o.precision,
           "bf16, f16: products in 16 bits, weights in f32 (autocast); f16 scales the loss, and "
           "leaves out steps that overflow. bf16-pure: all in bf16, the optimizer steps f32 copies "
           "of the weights")
      .one_of({"f32", "bf16", "f16", "bf16-pure"});

  add_optimizer_flags(parser, o);

  parser.section("Evaluation and reports");
  parser
      .add("--eval-every", &o.eval_every, "steps between validations; 0 validates at the end only")
      .at_least(0)
      .at_most(kMostOfCount);
  parser
      .add("--eval-batches", &o.eval_batches,
           "batches spread over the validation part; 0 takes all of it, as a classifier's last one "
           "does")
      .at_least(0)
      .at_most(kMostOfCount);
  parser.add("--log-every", &o.log_every, "steps between log lines")
      .at_least(1)
      .at_most(kMostOfCount);

  parser.section("Device and ranks");
  parser
      .add("--loader-threads", &o.loader_threads,
           "threads of each rank that prepare batches ahead of the steps")
      .at_least(1)
      .at_most(1 << 10)
      .default_text("with a GPU the rank's cores less one, else an eighth of them, at least 1");
  o.device = get_setting("TRIREME_DEVICE");
  parser
      .add("--device", &o.device, "cpu, cuda (the GPU of the rank's number on its node) or cuda:N")
      .default_text("TRIREME_DEVICE, else cpu");
  parser
      .add("--backend", &o.backend,
           "how ranks exchange gradients; on GPUs that is nccl, and this how their hosts meet")
      .one_of({"auto", "shm", "mpi", "store"});
  parser.add("--bucket-mb", &o.bucket_mb, "largest gradient bucket in MiB")
      .at_least(0)
      .at_most(kMostOfSize)
      .default_text("TRIREME_BUCKET_MB, else 25");
  parser
      .add("--check-replicas-every", &o.check_replicas_every,
           "steps between checks that all ranks hold the same weights; 0 never")
      .at_least(0)
      .at_most(kMostOfCount);
  parser.add("--cuda-graph", &o.cuda_graph,
             "capture the step of a GPU after a few and replay it: launches cost nothing then. Not "
             "with dropout");

  // A launcher's variables say the same, and must if both are there.
  parser.section("Rank (default: from the environment)");
  parser.add("--rank", &o.rank, "number of this rank").at_least(0).default_text("");
  parser.add("--world-size", &o.world_size, "number of ranks").at_least(1).default_text("");
  parser.add("--local-rank", &o.local_rank, "number of this rank on its node")
      .at_least(0)
      .default_text("");
  parser.add("--local-world-size", &o.local_world_size, "ranks on this node")
      .at_least(1)
      .default_text("");
}

namespace {

void add_text_flags(ArgParser& parser, TextOptions& o) {
  parser.section("Text");
  parser.add("--vocab", &o.vocab, "vocabulary size")
      .at_least(0)
      .at_most(kMostOfCount)
      .default_text("256 for text, 50257 for token files");
  parser
      .add("--order", &o.order,
           "random: windows anywhere; sequential: end to end, from the start again after the last")
      .one_of({"random", "sequential"});
  parser.section("Sample");
  parser.add("--sample", &o.sample, "bytes of text to generate at the end")
      .at_least(0)
      .at_most(kMostOfCount);
  parser.add("--prompt", &o.prompt, "text that the sample continues").default_text("a line feed");
  parser.add("--temperature", &o.temperature, "0 takes the most likely byte").at_least(0);
}

}  // namespace

void add_flags(ArgParser& parser, LstmOptions& o) {
  parser.section("Model");
  parser.add("--layers", &o.layers, "LSTM layers").at_least(1).at_most(kMostOfSize);
  parser.add("--dim", &o.dim, "width of embedding and layers").at_least(1).at_most(kMostOfSize);
  parser.add("--context", &o.context, "tokens per sequence, each of which starts anew")
      .at_least(1)
      .at_most(kMostOfSize);
  parser.add("--dropout", &o.dropout, "probability, before, between and behind the layers")
      .at_least(0)
      .at_most(0.99);
  add_text_flags(parser, o.text);
}

namespace {

void add_architecture_flags(ArgParser& parser, GptOptions& o) {
  parser
      .add("--arch", &o.arch,
           "llama: RMSNorm, rotary positions, SwiGLU, no biases, a head of its own; what is given "
           "below wins. Llama weights in --init-from bring theirs, with all sizes, in the "
           "config.json beside them")
      .one_of({"gpt2", "llama"})
      .default_text("gpt2");
  const auto choice = [&](const char* flag, std::string* value, const char* about,
                          std::vector<std::string> choices) {
    const std::string usual = choices[0] + ", of llama " + choices[1];
    parser.add(flag, value, about).one_of(std::move(choices)).default_text(usual);
  };
  choice("--norm", &o.norm, "normalisation in front of attention and feed-forward layers",
         {"layer", "rms"});
  choice("--position", &o.position, "how tokens know where they stand: by a table, or turned",
         {"learned", "rotary"});
  choice("--activation", &o.activation, "inside feed-forward layers; swiglu has a third matrix",
         {"gelu", "swiglu"});
  choice("--bias", &o.bias, "biases of linear layers and layer norms", {"yes", "no"});
  choice("--head", &o.head, "tied: the output layer is the token table", {"tied", "untied"});
  parser.add("--kv-heads", &o.kv_heads, "heads of keys and values; divides --heads")
      .at_least(1)
      .at_most(kMostOfSize)
      .default_text("--heads");
  parser.add("--intermediate", &o.intermediate, "width inside feed-forward layers")
      .at_least(1)
      .at_most(kMostOfSize)
      .default_text("4 x --dim, of swiglu 8/3 x --dim up to a multiple of 64");
  parser.add("--norm-eps", &o.norm_eps, "what a norm adds to the variance")
      .above(0)
      .default_text("1e-5");
  parser.add("--rope-theta", &o.rope_theta, "base of rotary positions")
      .above(0)
      .default_text("10000");
}

}  // namespace

void add_flags(ArgParser& parser, GptOptions& o) {
  parser.section("Model");
  parser
      .add("--size", &o.size,
           "layers, heads, width and context of GPT-2's 124M, 355M, 774M or 1558M parameters; what "
           "is given below wins")
      .one_of({"gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"})
      .default_text("");
  const auto extent = [&](const char* flag, int64_t* value, const char* about, const char* usual) {
    parser.add(flag, value, about).at_least(1).at_most(kMostOfSize).default_text(usual);
  };
  extent("--layers", &o.layers, "transformer blocks", "4");
  extent("--heads", &o.heads, "attention heads; divides --dim", "4");
  extent("--dim", &o.dim, "width of the residual stream", "128");
  extent("--context", &o.context, "tokens per sequence", "64, of Llama weights theirs up to 1024");
  add_architecture_flags(parser, o);
  parser
      .add("--dropout", &o.dropout,
           "probability, on embeddings, attention weights and residual branches")
      .at_least(0)
      .at_most(0.99);
  parser
      .add("--vocab-multiple", &o.vocab_multiple,
           "pad the rows of the embedding, which is the output layer, to a multiple of this")
      .at_least(1)
      .at_most(kMostOfSize);
  parser.add("--recompute-blocks", &o.recompute_blocks,
             "keep the input of each block instead of its activations, and run the block again in "
             "backward: less memory, a third more arithmetic");
  add_text_flags(parser, o.text);
}

void add_flags(ArgParser& parser, MlpOptions& o) {
  parser.section("Model");
  parser.add("--hidden", &o.hidden, "sizes of the hidden layers").value_name("N,N,...");
  parser.add("--dropout", &o.dropout, "probability, after each hidden layer")
      .at_least(0)
      .at_most(0.99);
  add_image_flags(parser, o.images);
}

void add_flags(ArgParser& parser, ResNetOptions& o) {
  parser.section("Model");
  parser.add("--depth", &o.depth, "18, 34 or 50 layers").at_least(18).at_most(50);
  parser.add("--width", &o.width, "channels of the first stage; the last has 8 times as many")
      .at_least(1)
      .at_most(kMostOfSize);
  parser
      .add("--stem", &o.stem, "small: 3 x 3, for images of about 32 x 32; imagenet: 7 x 7, for 224")
      .one_of({"small", "imagenet"});
  add_image_flags(parser, o.images);
}

RankFlags rank_flags_of(const TrainOptions& o) {
  const auto given = [](int value) { return value < 0 ? std::nullopt : std::optional(value); };
  return {given(o.rank), given(o.world_size), given(o.local_rank), given(o.local_world_size)};
}

void check(const TrainOptions& o, int world_size) {
  const int64_t parts = world_size * o.accumulate;
  require(o.batch % parts == 0, "trireme-train", "--batch ", o.batch,
          " cannot be split evenly into ", world_size, " ranks x ", o.accumulate,
          " micro-batches; use a multiple of ", parts);
  require(o.min_lr <= o.lr, "trireme-train", "--min-lr ", o.min_lr, " is above --lr ", o.lr);
  require(!o.stochastic_rounding || o.precision == "bf16-pure", "trireme-train",
          "--stochastic-rounding is for weights in bf16, got --precision ", o.precision,
          "; use bf16-pure");
  require(o.clip_value == 0 || o.clip == 0, "trireme-train", "--clip-value ", o.clip_value,
          " limits elements and --clip ", o.clip, " the norm; for the first alone add --clip 0");
  require(o.schedule != "plateau" || o.eval_every > 0, "trireme-train",
          "--schedule plateau needs validations, got --eval-every ", o.eval_every);
}

}  // namespace trireme
