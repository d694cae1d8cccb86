#include "tests/kernels/cublas_mock.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>

#include "core/base/dtype.h"
#include "kernels/functors.h"

namespace trireme::testing {
namespace {

/// A descriptor as the attributes that were set, byte for byte.
struct Described {
  std::map<int, std::vector<char>> attributes;

  cublasStatus_t set(int name, const void* value, size_t bytes) {
    const char* from = static_cast<const char*>(value);
    attributes[name] = {from, from + bytes};
    return CUBLAS_STATUS_SUCCESS;
  }
  template <typename T>
  T get(int name, T otherwise) const {
    const auto at = attributes.find(name);
    if (at == attributes.end()) return otherwise;
    EXPECT_EQ(at->second.size(), sizeof(T)) << "attribute " << name << " has another size";
    T value;
    std::memcpy(&value, at->second.data(), sizeof(T));
    return value;
  }
};

CublasMockState the_state;

cublasStatus_t answer(const char* function) {
  return the_state.failing == function ? the_state.failure : CUBLAS_STATUS_SUCCESS;
}

Described& described(const void* p) { return *static_cast<Described*>(const_cast<void*>(p)); }

template <typename Descriptor>
cublasStatus_t make(const char* function, Descriptor* out) {
  if (answer(function) != CUBLAS_STATUS_SUCCESS) return answer(function);
  *out = reinterpret_cast<Descriptor>(new Described);
  ++the_state.live_objects;
  return CUBLAS_STATUS_SUCCESS;
}
template <typename Descriptor>
cublasStatus_t destroy(Descriptor p) {
  delete reinterpret_cast<Described*>(p);
  --the_state.live_objects;
  return CUBLAS_STATUS_SUCCESS;
}

// Names under which layouts and operations keep what they were created with.
enum Own { kType = 1000, kRows, kCols, kLd, kCompute, kScale };

double load(const void* data, int64_t index, int type) {
  switch (type) {
    case CUDA_R_64F:
      return static_cast<const double*>(data)[index];
    case CUDA_R_16BF:
      return static_cast<const BFloat16*>(data)[index];
    case CUDA_R_16F:
      return static_cast<const Float16*>(data)[index];
    default:
      return static_cast<const float*>(data)[index];
  }
}
void store(void* data, int64_t index, int type, double value) {
  switch (type) {
    case CUDA_R_64F:
      static_cast<double*>(data)[index] = value;
      return;
    case CUDA_R_16BF:
      static_cast<BFloat16*>(data)[index] = BFloat16(value);
      return;
    case CUDA_R_16F:
      static_cast<Float16*>(data)[index] = Float16(value);
      return;
    default:
      static_cast<float*>(data)[index] = static_cast<float>(value);
  }
}

/// A column-major matrix as a layout describes it.
struct Matrix {
  explicit Matrix(const Described& d)
      : rows(d.get<int64_t>(kRows, 0)),
        cols(d.get<int64_t>(kCols, 0)),
        ld(d.get<int64_t>(kLd, 0)),
        stride(d.get<int64_t>(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, 0)),
        batch(d.get<int32_t>(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, 1)),
        type(d.get<int32_t>(kType, 0)) {}
  int64_t rows, cols, ld, stride;
  int32_t batch, type;
  int64_t at(int64_t which, int64_t row, int64_t col) const {
    return which * stride + row + col * ld;
  }
};

struct Operation {
  explicit Operation(const Described& d)
      : transposed_a(d.get<int32_t>(CUBLASLT_MATMUL_DESC_TRANSA, 0) == CUBLAS_OP_T),
        transposed_b(d.get<int32_t>(CUBLASLT_MATMUL_DESC_TRANSB, 0) == CUBLAS_OP_T),
        epilogue(d.get<uint32_t>(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT)),
        vector(d.get<void*>(CUBLASLT_MATMUL_DESC_BIAS_POINTER, nullptr)),
        vector_type(d.get<int32_t>(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, -1)),
        aux(d.get<void*>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, nullptr)),
        aux_ld(d.get<int64_t>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, 0)),
        scale_type(d.get<int32_t>(kScale, 0)) {}
  bool transposed_a, transposed_b;
  uint32_t epilogue;
  void* vector;
  int32_t vector_type;
  void* aux;
  int64_t aux_ld;
  int32_t scale_type;
  bool has(uint32_t bit) const { return (epilogue & bit) != 0; }
};

/// The bits of an epilogue, as cublasLt.h composes them.
constexpr uint32_t kBias = 4, kBiasGradient = 16, kGelu = 32, kDGelu = 64, kAux = 128;

cublasStatus_t multiply(const Operation& op, double alpha, const void* a, const Matrix& la,
                        const void* b, const Matrix& lb, double beta, const void* c, void* d,
                        const Matrix& ld) {
  const int64_t m = op.transposed_a ? la.cols : la.rows, k = op.transposed_a ? la.rows : la.cols;
  const int64_t n = op.transposed_b ? lb.rows : lb.cols;
  const bool fits = (op.transposed_b ? lb.cols : lb.rows) == k && ld.rows == m && ld.cols == n &&
                    la.batch == lb.batch && la.batch == ld.batch;
  if (!fits || la.ld < la.rows || lb.ld < lb.rows || ld.ld < ld.rows) {
    ADD_FAILURE() << "layouts do not describe a product: a " << la.rows << "x" << la.cols << "/"
                  << la.ld << ", b " << lb.rows << "x" << lb.cols << "/" << lb.ld << ", d "
                  << ld.rows << "x" << ld.cols << "/" << ld.ld;
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  std::vector<double> column_sums(static_cast<size_t>(m), 0.0);
  for (int64_t z = 0; z < ld.batch; ++z) {
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t i = 0; i < m; ++i) {
        double sum = 0;
        for (int64_t p = 0; p < k; ++p) {
          sum += load(a, op.transposed_a ? la.at(z, p, i) : la.at(z, i, p), la.type) *
                 load(b, op.transposed_b ? lb.at(z, j, p) : lb.at(z, p, j), lb.type);
        }
        double value = alpha * sum;
        if (beta != 0) value += beta * load(c, ld.at(z, i, j), ld.type);
        if (op.has(kBias)) value += load(op.vector, i, op.vector_type);
        if (op.has(kGelu)) {
          if (op.has(kAux)) store(op.aux, i + j * op.aux_ld, ld.type, value);
          value = kernels::GeluTanh{}(value);
        }
        if (op.has(kDGelu)) {
          const double x = load(op.aux, i + j * op.aux_ld, ld.type);
          value = kernels::GeluTanh{}.grad(value, x);
        }
        if (op.has(kBiasGradient)) column_sums[static_cast<size_t>(i)] += value;
        store(d, ld.at(z, i, j), ld.type, value);
      }
    }
  }
  if (op.has(kBiasGradient)) {
    for (int64_t i = 0; i < m; ++i) {
      store(op.vector, i, op.vector_type, column_sums[static_cast<size_t>(i)]);
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t matmul(cublasLtHandle_t, cublasLtMatmulDesc_t op, const void* alpha, const void* a,
                      cublasLtMatrixLayout_t la, const void* b, cublasLtMatrixLayout_t lb,
                      const void* beta, const void* c, cublasLtMatrixLayout_t lc, void* d,
                      cublasLtMatrixLayout_t ld, const cublasLtMatmulAlgo_t* algorithm,
                      void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  if (answer("Matmul") != CUBLAS_STATUS_SUCCESS) return answer("Matmul");
  EXPECT_EQ(lc, ld);
  EXPECT_GE(workspace_bytes, the_state.workspace_bytes);
  ++the_state.products;
  the_state.last_algorithm = algorithm->data[0];
  const Operation operation(described(op));
  const int type = operation.scale_type;
  const auto run = [=, alpha = load(alpha, 0, type), beta = load(beta, 0, type),
                    la = Matrix(described(la)), lb = Matrix(described(lb)),
                    ld = Matrix(described(ld))] {
    if (workspace_bytes) std::memset(workspace, 0xFF, workspace_bytes);  // ours to write
    return multiply(operation, alpha, a, la, b, lb, beta, c, d, ld);
  };
  return the_state.queue ? the_state.queue(stream, run) : run();
}

cublasStatus_t heuristic(cublasLtHandle_t, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t,
                         cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                         cublasLtMatmulPreference_t preference, int requested,
                         cublasLtMatmulHeuristicResult_t results[], int* count) {
  ++the_state.heuristic_calls;
  if (answer("MatmulAlgoGetHeuristic") != CUBLAS_STATUS_SUCCESS) {
    return answer("MatmulAlgoGetHeuristic");
  }
  if (!the_state.has_bias && Operation(described(operation)).has(kBias)) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const Described& wanted = described(preference);
  EXPECT_EQ(wanted.get<uint64_t>(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 0), 64u << 20);
  EXPECT_EQ(wanted.get<uint32_t>(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, 0),
            uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  *count = std::min(requested, the_state.guesses);
  for (int i = 0; i < *count; ++i) {
    results[i] = {};
    results[i].algo.data[0] = static_cast<uint64_t>(i) + 1;
    results[i].workspaceSize = the_state.workspace_bytes;
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                     cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                     const cublasLtMatmulAlgo_t* algorithm,
                     cublasLtMatmulHeuristicResult_t* result) {
  if (answer("MatmulAlgoCheck") != CUBLAS_STATUS_SUCCESS) return answer("MatmulAlgoCheck");
  result->algo = *algorithm;
  result->workspaceSize = the_state.workspace_bytes;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t make_layout(cublasLtMatrixLayout_t* out, cudaDataType type, uint64_t rows,
                           uint64_t cols, int64_t ld) {
  const cublasStatus_t status = make("MatrixLayoutCreate", out);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  Described& d = described(*out);
  const auto own_type = static_cast<int32_t>(type);
  d.set(kType, &own_type, sizeof(own_type));
  d.set(kRows, &rows, sizeof(rows));
  d.set(kCols, &cols, sizeof(cols));
  return d.set(kLd, &ld, sizeof(ld));
}

cublasStatus_t make_operation(cublasLtMatmulDesc_t* out, cublasComputeType_t compute,
                              cudaDataType_t scale) {
  const cublasStatus_t status = make("MatmulDescCreate", out);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  const auto own_compute = static_cast<int32_t>(compute), own_scale = static_cast<int32_t>(scale);
  described(*out).set(kCompute, &own_compute, sizeof(own_compute));
  return described(*out).set(kScale, &own_scale, sizeof(own_scale));
}

template <typename Descriptor, typename Attribute>
cublasStatus_t set_attribute(Descriptor p, Attribute name, const void* value, size_t bytes) {
  return described(p).set(name, value, bytes);
}

}  // namespace

CublasMock::CublasMock() {
  the_state = {};
  api_.Create = [](cublasLtHandle_t* out) { return make("Create", out); };
  api_.Destroy = destroy<cublasLtHandle_t>;
  api_.GetVersion = [] { return size_t{130000}; };
  api_.GetStatusName = [](cublasStatus_t status) {
    return status == CUBLAS_STATUS_NOT_INITIALIZED ? "CUBLAS_STATUS_NOT_INITIALIZED"
                                                   : "CUBLAS_STATUS_INTERNAL_ERROR";
  };
  api_.MatmulDescCreate = make_operation;
  api_.MatmulDescDestroy = destroy<cublasLtMatmulDesc_t>;
  api_.MatmulDescSetAttribute = set_attribute<cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t>;
  api_.MatrixLayoutCreate = make_layout;
  api_.MatrixLayoutDestroy = destroy<cublasLtMatrixLayout_t>;
  api_.MatrixLayoutSetAttribute =
      set_attribute<cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t>;
  api_.MatmulPreferenceCreate = [](cublasLtMatmulPreference_t* out) {
    return make("MatmulPreferenceCreate", out);
  };
  api_.MatmulPreferenceDestroy = destroy<cublasLtMatmulPreference_t>;
  api_.MatmulPreferenceSetAttribute =
      set_attribute<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t>;
  api_.MatmulAlgoGetHeuristic = heuristic;
  api_.MatmulAlgoCheck = check;
  api_.Matmul = matmul;
}

CublasMockState& CublasMock::state() { return the_state; }
double CublasMock::time() {
  return the_state.times[(the_state.last_algorithm - 1) % the_state.times.size()];
}

}  // namespace trireme::testing
