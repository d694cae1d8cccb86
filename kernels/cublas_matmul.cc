#include "kernels/cublas_matmul.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "core/base/log.h"
#include "kernels/cublas_layout.h"

namespace trireme::kernels {
namespace {

// Guesses that are timed. The heuristic's first is within a few percent of the best for large
// square products, and up to twice as slow for the long thin ones of weight gradients.
constexpr int kGuesses = 8;
constexpr int kRepeats = 3;
constexpr int64_t kMiB = 1 << 20;

cudaDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return CUDA_R_64F;
    case DType::kBF16:
      return CUDA_R_16BF;
    case DType::kF16:
      return CUDA_R_16F;
    default:
      return CUDA_R_32F;
  }
}

cublasLtEpilogue_t epilogue_of(const MatmulCall& call) {
  switch (call.epilogue) {
    case Epilogue::kNone:
      return CUBLASLT_EPILOGUE_DEFAULT;
    case Epilogue::kBias:
      return CUBLASLT_EPILOGUE_BIAS;
    case Epilogue::kGeluAux:
      return call.vector ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX;
    case Epilogue::kDGeluBiasGradient:
      return call.vector ? CUBLASLT_EPILOGUE_DGELU_BGRAD : CUBLASLT_EPILOGUE_DGELU;
  }
  return CUBLASLT_EPILOGUE_DEFAULT;
}

/// Alignment that kernels can count on, up to the 16 bytes of their widest access.
int64_t alignment_of(const void* p) {
  const auto address = reinterpret_cast<uintptr_t>(p) | 16;
  return int64_t{1} << std::countr_zero(address);
}

MatmulKey key_of(const MatmulCall& call, const CublasProduct& p, const CublasOptions& options) {
  const int64_t flags = p.a.is_transposed | p.b.is_transposed << 1 |
                        (call.write == Write::kAccumulate) << 2 |
                        (options.tf32 == Tf32::kAllowed) << 3 | epilogue_of(call) << 4;
  return {p.m,
          p.n,
          p.k,
          call.batch,
          p.a.ld,
          p.b.ld,
          p.d.ld,
          p.a.batch_stride,
          p.b.batch_stride,
          p.d.batch_stride,
          call.aux_row_stride,
          static_cast<int64_t>(call.input) << 8 | static_cast<int64_t>(call.output),
          flags,
          alignment_of(call.a.data),
          alignment_of(call.b.data),
          alignment_of(call.c),
          call.aux ? alignment_of(call.aux) : 0};
}

std::string text_of(const MatmulCall& call) {
  return concat("[", call.m, ", ", call.k, "] x [", call.k, ", ", call.n, "], batch ", call.batch,
                ", ", call.input);
}

/// Destroys one of cuBLASLt's descriptors with the table's function.
template <typename Descriptor>
struct Destroy {
  cublasStatus_t (*destroy)(Descriptor);
  void operator()(std::remove_pointer_t<Descriptor>* d) const { destroy(d); }
};
template <typename Descriptor>
using Owned = std::unique_ptr<std::remove_pointer_t<Descriptor>, Destroy<Descriptor>>;

}  // namespace

struct CublasMatmul::Plan {
  Owned<cublasLtMatmulDesc_t> operation;
  Owned<cublasLtMatrixLayout_t> a, b, d;
  cublasLtMatmulHeuristicResult_t algorithm{};
  bool is_chosen = false;
  /// cuBLASLt's guesses; none where it cannot do this product.
  std::array<cublasLtMatmulHeuristicResult_t, kGuesses> guesses{};
  int guess_count = -1;  // not asked yet
};

size_t CublasMatmul::KeyHash::operator()(const MatmulKey& key) const {
  uint64_t hash = 14695981039346656037u;
  for (int64_t word : key)
    hash = std::rotl(hash ^ static_cast<uint64_t>(word), 29) * 1099511628211u;
  return hash ^ hash >> 32;
}

CublasMatmul::CublasMatmul(const CublasApi& api, LibraryDevice& device,
                           MatmulAlgorithms& algorithms, CublasOptions options)
    : api_(api),
      device_(device),
      algorithms_(algorithms),
      options_(options),
      workspace_bytes_(device.architecture() >= 90 ? 64 * kMiB : 32 * kMiB) {
  check_cublas(api_, "matmul", "Create", api_.Create(&handle_));
}

CublasMatmul::~CublasMatmul() {
  plans_.clear();
  api_.Destroy(handle_);
}

std::unique_ptr<CublasMatmul::Plan> CublasMatmul::make_plan(const MatmulCall& call) const {
  const CublasProduct p = column_major(call);
  auto plan = std::make_unique<Plan>();
  const auto set = [&](cublasLtMatmulDescAttributes_t name, const auto& value) {
    check_cublas(api_, "matmul", "MatmulDescSetAttribute",
                 api_.MatmulDescSetAttribute(plan->operation.get(), name, &value, sizeof(value)),
                 text_of(call));
  };
  const bool is_f64 = call.input == DType::kF64;
  const cublasComputeType_t compute = is_f64 ? CUBLAS_COMPUTE_64F
                                      : call.input == DType::kF32 && options_.tf32 == Tf32::kAllowed
                                          ? CUBLAS_COMPUTE_32F_FAST_TF32
                                          : CUBLAS_COMPUTE_32F;
  cublasLtMatmulDesc_t operation = nullptr;
  check_cublas(api_, "matmul", "MatmulDescCreate",
               api_.MatmulDescCreate(&operation, compute, is_f64 ? CUDA_R_64F : CUDA_R_32F));
  plan->operation = {operation, {api_.MatmulDescDestroy}};
  const auto op = [](const CublasMatrix& x) { return x.is_transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  set(CUBLASLT_MATMUL_DESC_TRANSA, op(p.a));
  set(CUBLASLT_MATMUL_DESC_TRANSB, op(p.b));
  set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(call));
  if (call.vector) {
    set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, static_cast<int32_t>(data_type(call.output)));
  }
  if (call.aux) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, call.aux_row_stride);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, static_cast<int32_t>(data_type(call.output)));
  }
  const auto layout = [&](const CublasMatrix& x, DType dtype) -> Owned<cublasLtMatrixLayout_t> {
    cublasLtMatrixLayout_t made = nullptr;
    check_cublas(api_, "matmul", "MatrixLayoutCreate",
                 api_.MatrixLayoutCreate(&made, data_type(dtype), static_cast<uint64_t>(x.rows),
                                         static_cast<uint64_t>(x.cols), x.ld),
                 text_of(call));
    Owned<cublasLtMatrixLayout_t> owned{made, {api_.MatrixLayoutDestroy}};
    const auto batch = static_cast<int32_t>(call.batch);
    for (const auto& [name, value, bytes] :
         {std::tuple<cublasLtMatrixLayoutAttribute_t, const void*, size_t>{
              CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof(batch)},
          {CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &x.batch_stride, sizeof(int64_t)}}) {
      check_cublas(api_, "matmul", "MatrixLayoutSetAttribute",
                   api_.MatrixLayoutSetAttribute(made, name, value, bytes), text_of(call));
    }
    return owned;
  };
  plan->a = layout(p.a, call.input);
  plan->b = layout(p.b, call.input);
  plan->d = layout(p.d, call.output);
  return plan;
}

void CublasMatmul::guess(Plan& plan, const MatmulCall& call) const {
  if (plan.guess_count >= 0) return;
  cublasLtMatmulPreference_t made = nullptr;
  check_cublas(api_, "matmul", "MatmulPreferenceCreate", api_.MatmulPreferenceCreate(&made));
  const Owned<cublasLtMatmulPreference_t> preference{made, {api_.MatmulPreferenceDestroy}};
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t name, const auto& value) {
    check_cublas(api_, "matmul", "MatmulPreferenceSetAttribute",
                 api_.MatmulPreferenceSetAttribute(made, name, &value, sizeof(value)));
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(workspace_bytes_));
  // Partial sums of a 16-bit result stay f32 until they are added.
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  const auto align = [](const void* p) { return static_cast<uint32_t>(alignment_of(p)); };
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, align(call.b.data));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, align(call.a.data));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, align(call.c));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, align(call.c));
  int found = 0;
  const cublasStatus_t status = api_.MatmulAlgoGetHeuristic(
      handle_, plan.operation.get(), plan.a.get(), plan.b.get(), plan.d.get(), plan.d.get(), made,
      kGuesses, plan.guesses.data(), &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED)
    found = 0;
  else
    check_cublas(api_, "matmul", "MatmulAlgoGetHeuristic", status, text_of(call));
  const auto usable = std::remove_if(
      plan.guesses.begin(), plan.guesses.begin() + found,
      [](const cublasLtMatmulHeuristicResult_t& g) { return g.state != CUBLAS_STATUS_SUCCESS; });
  plan.guess_count = static_cast<int>(usable - plan.guesses.begin());
}

bool CublasMatmul::use_kept(Plan& plan, const MatmulKey& key) const {
  const auto kept = algorithms_.find(key);
  if (!kept) return false;
  cublasLtMatmulAlgo_t algorithm;
  static_assert(sizeof(algorithm.data) == sizeof(*kept));
  std::memcpy(algorithm.data, kept->data(), sizeof(algorithm.data));
  cublasLtMatmulHeuristicResult_t checked{};
  const cublasStatus_t status =
      api_.MatmulAlgoCheck(handle_, plan.operation.get(), plan.a.get(), plan.b.get(), plan.d.get(),
                           plan.d.get(), &algorithm, &checked);
  if (status != CUBLAS_STATUS_SUCCESS ||
      checked.workspaceSize > static_cast<size_t>(workspace_bytes_)) {
    return false;
  }
  plan.algorithm = checked;
  plan.algorithm.algo = algorithm;
  return true;
}

void CublasMatmul::time_guesses(Plan& plan, const MatmulCall& call, CUstream_st* stream) {
  // A product that accumulates must not do so once per trial: trials write elsewhere.
  const int64_t span =
      (call.batch - 1) * call.c_batch_stride + (call.m - 1) * call.c_row_stride + call.n;
  const bool elsewhere = call.write == Write::kAccumulate;
  const LibraryWorkspace trial(device_, stream, elsewhere ? span * size_of(call.output) : 0);
  void* d = elsewhere ? trial.data() : call.c;
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < plan.guess_count; ++i) {
    const auto& guess = plan.guesses[static_cast<size_t>(i)];
    const double ms =
        device_.milliseconds(stream, kRepeats, [&] { launch(plan, guess, call, d, stream); });
    if (ms < best) {
      best = ms;
      plan.algorithm = guess;
    }
  }
  log_debug("matmul: ", text_of(call), " takes ", best, " ms, best of ", plan.guess_count);
}

void CublasMatmul::choose(Plan& plan, const MatmulKey& key, const MatmulCall& call,
                          CUstream_st* stream) {
  if (use_kept(plan, key)) {
    plan.is_chosen = true;
    return;
  }
  guess(plan, call);
  if (plan.guess_count == 0) {
    check_cublas(api_, "matmul", "MatmulAlgoGetHeuristic", CUBLAS_STATUS_NOT_SUPPORTED,
                 text_of(call));
  }
  plan.algorithm = plan.guesses[0];
  if (options_.tune && !device_.can_time(stream)) return;  // the next call may choose
  plan.is_chosen = true;
  if (!options_.tune) return;
  if (plan.guess_count > 1) time_guesses(plan, call, stream);
  MatmulAlgorithm kept;
  std::memcpy(kept.data(), plan.algorithm.algo.data, sizeof(kept));
  algorithms_.insert(key, kept);
}

CublasMatmul::Plan& CublasMatmul::plan_for(const MatmulCall& call, CUstream_st* stream) {
  const MatmulKey key = key_of(call, column_major(call), options_);
  std::unique_ptr<Plan>& plan = plans_[key];
  if (!plan) plan = make_plan(call);
  if (!plan->is_chosen) choose(*plan, key, call, stream);
  return *plan;
}

void CublasMatmul::launch(Plan& plan, const cublasLtMatmulHeuristicResult_t& algorithm,
                          const MatmulCall& call, void* d, CUstream_st* stream) {
  const auto set = [&](cublasLtMatmulDescAttributes_t name, void* pointer) {
    check_cublas(
        api_, "matmul", "MatmulDescSetAttribute",
        api_.MatmulDescSetAttribute(plan.operation.get(), name, &pointer, sizeof(pointer)));
  };
  if (call.vector) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, call.vector);
  if (call.aux) set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, call.aux);
  const auto bytes = static_cast<int64_t>(algorithm.workspaceSize);
  const LibraryWorkspace workspace(device_, stream, bytes);
  const double one = 1, beta = call.write == Write::kAccumulate ? 1 : 0;
  const auto one_f = static_cast<float>(one), beta_f = static_cast<float>(beta);
  const bool is_f64 = call.input == DType::kF64;
  check_cublas(
      api_, "matmul", "Matmul",
      api_.Matmul(handle_, plan.operation.get(), is_f64 ? static_cast<const void*>(&one) : &one_f,
                  call.b.data, plan.a.get(), call.a.data, plan.b.get(),
                  is_f64 ? static_cast<const void*>(&beta) : &beta_f, call.c, plan.d.get(), d,
                  plan.d.get(), &algorithm.algo, workspace.data(), algorithm.workspaceSize, stream),
      text_of(call));
}

void CublasMatmul::run(const MatmulCall& call, CUstream_st* stream) {
  Plan& plan = plan_for(call, stream);
  launch(plan, plan.algorithm, call, call.c, stream);
  device_.check_launch("matmul", stream);
}

bool CublasMatmul::supports(const MatmulCall& call) {
  std::unique_ptr<Plan>& plan = plans_[key_of(call, column_major(call), options_)];
  if (!plan) plan = make_plan(call);
  guess(*plan, call);
  return plan->guess_count > 0;
}

}  // namespace trireme::kernels
