// Which algorithm a matmul on cuBLASLt takes, what its epilogues mean, and what errors say.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tests/kernels/cublas_library.h"
#include "tests/support/message_of.h"

namespace trireme::kernels {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

/// A call on dense row-major host memory.
MatmulCall dense_call(const std::vector<float>& a, const std::vector<float>& b,
                      std::vector<float>& c, int64_t m, int64_t n, int64_t k) {
  return {DType::kF32,         DType::kF32,         1,        m, n, k,
          {a.data(), k, 1, 0}, {b.data(), n, 1, 0}, c.data(), n, 0};
}

TEST(CublasMatmul, TheFastestGuessIsKeptAndUsedFromThenOn) {
  Library library;
  const std::vector<float> a = whole<float>(6, 1), b = whole<float>(12, 2);
  std::vector<float> c(8);
  const MatmulCall call = dense_call(a, b, c, 2, 4, 3);
  library.matmul->run(call, nullptr);
  EXPECT_EQ(library.mock.state().last_algorithm, 2u);  // takes 1 ms, the others 3 and 2
  EXPECT_EQ(library.device.timings, 3);
  library.matmul->run(call, nullptr);
  EXPECT_EQ(library.device.timings, 3);
  EXPECT_EQ(library.mock.state().heuristic_calls, 1);
  // Another thread's object finds it without timing or asking.
  CublasMatmul other(library.mock.api(), library.device, library.algorithms, {});
  other.run(call, nullptr);
  EXPECT_EQ(library.mock.state().last_algorithm, 2u);
  EXPECT_EQ(library.device.timings, 3);
  EXPECT_EQ(library.mock.state().heuristic_calls, 1);
}

TEST(CublasMatmul, FaultsAreLookedForBehindEachProduct) {
  Library library;
  const std::vector<float> a = whole<float>(6, 1), b = whole<float>(12, 2);
  std::vector<float> c(8);
  library.matmul->run(dense_call(a, b, c, 2, 4, 3), nullptr);
  library.matmul->run(dense_call(a, b, c, 2, 4, 3), nullptr);
  EXPECT_THAT(library.device.checked, ::testing::ElementsAre("matmul", "matmul"));
}

TEST(CublasMatmul, NothingIsTimedDuringACaptureAndNothingKeptOfIt) {
  Library library;
  const std::vector<float> a = whole<float>(6, 1), b = whole<float>(12, 2);
  std::vector<float> c(8);
  const MatmulCall call = dense_call(a, b, c, 2, 4, 3);
  library.device.is_capturing = true;
  library.matmul->run(call, nullptr);
  EXPECT_EQ(library.device.timings, 0);
  EXPECT_EQ(library.mock.state().last_algorithm, 1u);
  library.device.is_capturing = false;
  library.matmul->run(call, nullptr);
  EXPECT_EQ(library.mock.state().last_algorithm, 2u);
}

TEST(CublasMatmul, WithoutTuningTheFirstGuessIsUsed) {
  Library library;
  CublasMatmul plain(library.mock.api(), library.device, library.algorithms, {.tune = false});
  const std::vector<float> a = whole<float>(6, 1), b = whole<float>(12, 2);
  std::vector<float> c(8);
  plain.run(dense_call(a, b, c, 2, 4, 3), nullptr);
  EXPECT_EQ(library.device.timings, 0);
  EXPECT_EQ(library.mock.state().last_algorithm, 1u);
}

TEST(CublasMatmul, AnAlgorithmThatTheLibraryNoLongerAcceptsIsChosenAnew) {
  Library library;
  const std::vector<float> a = whole<float>(6, 1), b = whole<float>(12, 2);
  std::vector<float> c(8);
  library.matmul->run(dense_call(a, b, c, 2, 4, 3), nullptr);
  library.mock.state().failing = "MatmulAlgoCheck";
  CublasMatmul other(library.mock.api(), library.device, library.algorithms, {});
  other.run(dense_call(a, b, c, 2, 4, 3), nullptr);
  EXPECT_EQ(library.device.timings, 6);
}

// y = gelu(x w + b) and what flows back: dpre = (dy w2^T) gelu'(pre) with db its column sums.
TEST(CublasMatmul, EpiloguesAreOfTheRowMajorResult) {
  Library library;
  constexpr int64_t kM = 3, kN = 8, kK = 2;
  const std::vector<float> a = whole<float>(kM * kK, 1), b = whole<float>(kK * kN, 2);
  std::vector<float> c(kM * kN), aux(kM * kN), vector = whole<float>(kN, 3);
  const auto product = [&](int64_t i, int64_t j) {
    float sum = 0;
    for (int64_t p = 0; p < kK; ++p) sum += a[size_t(i * kK + p)] * b[size_t(p * kN + j)];
    return sum;
  };
  MatmulCall call = dense_call(a, b, c, kM, kN, kK);
  call.epilogue = Epilogue::kGeluAux;
  call.vector = vector.data();
  call.aux = aux.data();
  call.aux_row_stride = kN;
  library.matmul->run(call, nullptr);
  for (int64_t i = 0; i < kM * kN; ++i) {
    const float pre = product(i / kN, i % kN) + vector[size_t(i % kN)];
    EXPECT_FLOAT_EQ(aux[size_t(i)], pre);
    EXPECT_NEAR(c[size_t(i)],
                0.5 * pre * (1 + std::tanh(0.7978845608 * (pre + 0.044715 * pre * pre * pre))),
                1e-5);
  }

  call.epilogue = Epilogue::kDGeluBiasGradient;
  library.matmul->run(call, nullptr);
  for (int64_t j = 0; j < kN; ++j) {
    float sum = 0;
    for (int64_t i = 0; i < kM; ++i) sum += c[size_t(i * kN + j)];
    EXPECT_NEAR(vector[size_t(j)], sum, 1e-5);
  }
}

TEST(CublasMatmul, AnErrorOfAnyCallNamesItAndLeavesNothingBehind) {
  const std::vector<float> a = whole<float>(6, 1), b = whole<float>(12, 2);
  std::vector<float> c(8);
  for (const char* failing : {"MatmulDescCreate", "MatrixLayoutCreate", "MatmulPreferenceCreate",
                              "MatmulAlgoGetHeuristic", "Matmul"}) {
    Library library;
    library.mock.state().failing = failing;
    const std::string message =
        message_of<CudaError>([&] { library.matmul->run(dense_call(a, b, c, 2, 4, 3), nullptr); });
    EXPECT_THAT(message, HasSubstr(std::string("matmul: cublasLt") + failing + " failed"));
    EXPECT_THAT(message, HasSubstr("CUBLAS_STATUS_INTERNAL_ERROR; "));
  }
}

TEST(CublasMatmul, SaysSoWhereNoAlgorithmExists) {
  Library library;
  library.mock.state().guesses = 0;
  const std::vector<float> a = whole<float>(6, 1), b = whole<float>(12, 2);
  std::vector<float> c(8);
  const MatmulCall call = dense_call(a, b, c, 2, 4, 3);
  EXPECT_FALSE(library.matmul->supports(call));
  EXPECT_THAT(message_of<CudaError>([&] { library.matmul->run(call, nullptr); }),
              HasSubstr("for [2, 3] x [3, 4], batch 1, f32"));
}

#ifdef __SANITIZE_ADDRESS__
// What cublasLtCreate has allocated when it fails is cuBLASLt's to free.
extern "C" const char* __lsan_default_suppressions() { return "leak:libcublasLt"; }
#endif

// The real library: on a machine without a GPU it must become one message that says what to do.
TEST(CublasLibrary, CannotStartWithoutADriverAndSaysWhatToDo) {
  cublasLtHandle_t handle = nullptr;
  const cublasStatus_t status = cublas_api().Create(&handle);
  if (status == CUBLAS_STATUS_SUCCESS) {
    cublas_api().Destroy(handle);
    GTEST_SKIP() << "there is a GPU here";
  }
  CublasMock mock;
  HostDevice device([] { return 0.0; });
  MatmulAlgorithms algorithms("", "none", 0);
  EXPECT_EQ(message_of<CudaError>([&] { CublasMatmul(cublas_api(), device, algorithms, {}); }),
            "matmul: cublasLtCreate failed, CUBLAS_STATUS_NOT_INITIALIZED; no NVIDIA driver or GPU "
            "can be used here; run trireme doctor, or use --device cpu");
}

}  // namespace
}  // namespace trireme::kernels
