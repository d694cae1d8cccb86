// Times all-reduce over a range of sizes, in the columns of nccl-tests.
//
//   all_reduce_benchmark                      two ranks, started here, over shared memory
//   mpirun -np 2 all_reduce_benchmark         the same ranks, and MPI beside it
//   options: -r ranks  -b smallest-bytes  -e largest-bytes  -f factor  -n iterations  -w warm-up
//
// time is the mean of one all_reduce(...)->wait() on the slowest rank, algbw = bytes / time, and
// busbw = algbw * 2 (n - 1) / n, the traffic per link of a ring. `in place` reduces memory from
// Communicator::allocate, `staged` ordinary memory. Elements are f32, the op is sum.

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#include "benchmarks/all_reduce_mpi.h"
#include "core/base/config.h"
#include "distributed/env.h"
#include "distributed/make_communicator.h"

namespace trireme {
namespace {

struct Range {
  int ranks = 2;
  int64_t smallest_bytes = 8;
  int64_t largest_bytes = 100 << 20;
  int factor = 4;
  int iterations = 0;  // 0: enough for about a quarter of a second
  int warm_up = 5;
};

/// A way to all-reduce `count` floats of its own buffer.
struct Method {
  const char* name;
  float* data;
  std::function<void(int64_t count)> run;
};

Range parse(int argc, char** argv) {
  Range range;
  for (int option; (option = getopt(argc, argv, "r:b:e:f:n:w:")) != -1;) {
    const int64_t value = optarg ? std::atoll(optarg) : 0;
    switch (option) {
      case 'r':
        range.ranks = static_cast<int>(value);
        break;
      case 'b':
        range.smallest_bytes = value;
        break;
      case 'e':
        range.largest_bytes = value;
        break;
      case 'f':
        range.factor = static_cast<int>(value);
        break;
      case 'n':
        range.iterations = static_cast<int>(value);
        break;
      case 'w':
        range.warm_up = static_cast<int>(value);
        break;
      default:
        std::exit(64);
    }
  }
  require(range.ranks >= 1 && range.factor >= 2 && range.smallest_bytes >= 4,
          "all_reduce_benchmark", "needs -r >= 1, -f >= 2 and -b >= 4");
  return range;
}

void measure(Communicator& comm, const Method& method, int64_t count, const Range& range) {
  const auto fill = [&] {
    for (int64_t i = 0; i < count; ++i) method.data[i] = static_cast<float>(i % 3);
  };
  fill();
  method.run(count);
  int64_t wrong = 0;
  for (int64_t i = 0; i < count; ++i) {
    wrong += method.data[i] != static_cast<float>(i % 3 * comm.world_size());
  }
  std::fill(method.data, method.data + count, 0.0f);  // sums stay finite
  const int64_t bytes = count * 4;
  const int iterations =
      range.iterations > 0
          ? range.iterations
          : static_cast<int>(std::max<int64_t>(20, 400'000'000 / (bytes + 40'000)));
  for (int i = 0; i < range.warm_up; ++i) method.run(count);
  comm.barrier();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < iterations; ++i) method.run(count);
  double values[2] = {
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / iterations,
      static_cast<double>(wrong)};
  comm.all_reduce(values, 2, DType::kF64, ReduceOp::kMax)->wait();
  if (comm.rank() != 0) return;
  const double algbw = static_cast<double>(bytes) / values[0] / 1e9;
  const double factor = 2.0 * (comm.world_size() - 1) / comm.world_size();
  std::printf("  %9.2f %7.2f %7.2f %6.0f", values[0] * 1e6, algbw, algbw * factor, values[1]);
}

void run_table(Communicator& comm, const Range& range) {
  const int64_t most = range.largest_bytes / 4;
  const std::shared_ptr<void> shared = comm.allocate(range.largest_bytes);
  std::vector<float> plain(most);
  const auto reduce = [&](float* data) {
    return [&comm, data](int64_t count) {
      comm.all_reduce(data, count, DType::kF32, ReduceOp::kSum)->wait();
    };
  };
  auto* own = static_cast<float*>(shared.get());
  std::vector<Method> methods = {{"in place", own, reduce(own)},
                                 {"staged", plain.data(), reduce(plain.data())}};
  std::unique_ptr<Communicator> mpi;
  if constexpr (kHasMpi) {
    if (std::getenv("OMPI_COMM_WORLD_SIZE")) {
      mpi = make_communicator({.backend = "mpi",
                               .rank = comm.rank(),
                               .world_size = comm.world_size(),
                               .local_world_size = comm.world_size(),
                               .run_id = "",
                               .timeout = {}});
      methods.push_back(
          {"mpi backend", plain.data(), [&](int64_t count) {
             mpi->all_reduce(plain.data(), count, DType::kF32, ReduceOp::kSum)->wait();
           }});
      methods.push_back({"MPI_Allreduce", plain.data(),
                         [&](int64_t count) { mpi_all_reduce(plain.data(), count); }});
    }
  }
  if (comm.rank() == 0) {
    std::printf("# %d ranks, backend %s\n#%28s", comm.world_size(), comm.backend(), "");
    for (const Method& method : methods) std::printf("  %-32s", method.name);
    std::printf("\n#%11s %10s %5s", "size(B)", "count", "type");
    for (size_t i = 0; i < methods.size(); ++i) {
      std::printf("  %9s %7s %7s %6s", "time(us)", "algbw", "busbw", "#wrong");
    }
    std::printf("\n");
  }
  for (int64_t bytes = range.smallest_bytes; bytes <= range.largest_bytes; bytes *= range.factor) {
    if (comm.rank() == 0) {
      std::printf("%12lld %10lld %5s", static_cast<long long>(bytes),
                  static_cast<long long>(bytes / 4), "f32");
    }
    for (const Method& method : methods) measure(comm, method, bytes / 4, range);
    if (comm.rank() == 0) std::printf("\n");
    std::fflush(stdout);
  }
}

CommunicatorOptions place_of(const RankEnv& env) {
  return {.backend = "",
          .rank = env.rank,
          .world_size = env.world_size,
          .local_world_size = env.local_world_size,
          .run_id = env.run_id,
          .timeout = {}};
}

/// Makes this process rank 0 and starts the others.
CommunicatorOptions place_after_fork(int ranks) {
  CommunicatorOptions options;
  options.run_id = concat("all-reduce-", getpid());
  options.world_size = options.local_world_size = ranks;
  for (int rank = 1; rank < ranks; ++rank) {
    const pid_t child = fork();
    if (child < 0)
      throw IoError(concat("all_reduce_benchmark: fork failed, ", std::strerror(errno)));
    if (child == 0) {
      options.rank = rank;
      break;
    }
  }
  return options;
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  try {
    const trireme::Range range = trireme::parse(argc, argv);
    const trireme::RankEnv env = trireme::detect_rank_env();
    const auto options =
        env.world_size > 1 ? trireme::place_of(env) : trireme::place_after_fork(range.ranks);
    trireme::run_table(*trireme::make_communicator(options), range);
    while (wait(nullptr) > 0) {
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
