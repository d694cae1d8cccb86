// The file of matmul algorithms survives restarts, damage, strangers and several writers.

#include "kernels/cublas_algorithms.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

namespace trireme::kernels {
namespace {

namespace fs = std::filesystem;

class Algorithms : public ::testing::Test {
 protected:
  Algorithms() {
    char name[] = "/tmp/trireme_algorithms_XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~Algorithms() override { fs::remove_all(directory_); }

  std::string path() const { return directory_ + "/below/cache.txt"; }
  MatmulAlgorithms open(const std::string& gpu = "NVIDIA H200", size_t version = 130000) const {
    return {path(), gpu, version};
  }
  static MatmulKey key(int64_t m) { return {m, -2, 3}; }
  static MatmulAlgorithm algorithm(uint64_t id) { return {id, ~id, 7}; }
  std::string text() const {
    std::ifstream file(path());
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void overwrite(const std::string& text) const { std::ofstream(path()) << text; }

  std::string directory_;
};

TEST_F(Algorithms, AreFoundAgainByTheNextRun) {
  open().insert(key(1), algorithm(10));
  open().insert(key(2), algorithm(20));
  const MatmulAlgorithms again = open();
  EXPECT_EQ(again.find(key(1)), algorithm(10));
  EXPECT_EQ(again.find(key(2)), algorithm(20));
  EXPECT_EQ(again.find(key(3)), std::nullopt);
}

TEST_F(Algorithms, OfAnotherGpuOrVersionAreNotUsedAndThenReplaced) {
  open().insert(key(1), algorithm(10));
  EXPECT_EQ(open("NVIDIA H100").find(key(1)), std::nullopt);
  EXPECT_EQ(open("NVIDIA H200", 130001).find(key(1)), std::nullopt);
  open("NVIDIA H100").insert(key(5), algorithm(50));
  EXPECT_EQ(open().find(key(1)), std::nullopt);
  EXPECT_EQ(open("NVIDIA H100").find(key(5)), algorithm(50));
}

TEST_F(Algorithms, DamageIsNoticedAnywhere) {
  open().insert(key(1), algorithm(10));
  open().insert(key(2), algorithm(20));
  const std::string whole = text();
  for (size_t at = whole.find('\n') + 1; at + 1 < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = damaged[at] == '9' ? '8' : '9';
    overwrite(damaged);
    const MatmulAlgorithms read = open();
    EXPECT_FALSE(read.find(key(1)) && read.find(key(2))) << "changed byte " << at;
  }
  overwrite(whole.substr(0, whole.size() - 5));
  EXPECT_EQ(open().find(key(1)), std::nullopt);
  overwrite(std::string(1000, '\0'));
  EXPECT_EQ(open().find(key(1)), std::nullopt);
  open().insert(key(3), algorithm(30));
  EXPECT_EQ(open().find(key(3)), algorithm(30));
}

TEST_F(Algorithms, ADamagedFileIsOneWarning) {
  fs::create_directories(directory_ + "/below");
  overwrite("nonsense\n");
  ::testing::internal::CaptureStderr();
  MatmulAlgorithms cache = open();
  cache.insert(key(1), algorithm(1));
  cache.insert(key(2), algorithm(2));
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("is of another GPU, version or format"), std::string::npos) << log;
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
}

TEST_F(Algorithms, WhereNothingCanBeWrittenTheyLastForTheRun) {
  std::ofstream(directory_ + "/below") << "a file where the directory should be";
  ::testing::internal::CaptureStderr();
  MatmulAlgorithms cache = open();
  cache.insert(key(1), algorithm(1));
  cache.insert(key(2), algorithm(2));
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(cache.find(key(2)), algorithm(2));
  EXPECT_NE(log.find("cannot be written"), std::string::npos) << log;
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
}

// Processes and threads that write at once lose nothing of each other.
TEST_F(Algorithms, WritersTakeTurns) {
  constexpr int kProcesses = 4, kEach = 8;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = ::fork();
    if (child == 0) {
      MatmulAlgorithms cache = open();
      for (int i = 0; i < kEach; ++i) cache.insert(key(p * kEach + i), algorithm(1));
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  const MatmulAlgorithms all = open();
  for (int i = 0; i < kProcesses * kEach; ++i) EXPECT_TRUE(all.find(key(i))) << i;
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_ + "/below"), {}), 2);  // and the lock
}

TEST_F(Algorithms, LieWhereTheSettingsSay) {
  ::setenv("TRIREME_CACHE_DIR", directory_.c_str(), 1);
  EXPECT_EQ(MatmulAlgorithms::path_for("NVIDIA H200", 130000),
            directory_ + "/matmul-NVIDIA-H200-cublaslt-130000.txt");
  ::unsetenv("TRIREME_CACHE_DIR");
  ::setenv("XDG_CACHE_HOME", directory_.c_str(), 1);
  EXPECT_EQ(MatmulAlgorithms::path_for("A", 1), directory_ + "/trireme/matmul-A-cublaslt-1.txt");
  ::unsetenv("XDG_CACHE_HOME");
}

}  // namespace
}  // namespace trireme::kernels
