// Every collective on every backend. Values are small integers, so results are exact.

#include "distributed/communicator.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "tests/support/run_ranks.h"

namespace trireme {
namespace {

using testing::RankCase;
using testing::run_ranks_on;

class Collectives : public ::testing::TestWithParam<RankCase> {
 protected:
  void run(const std::function<void(Communicator&)>& body) {
    run_ranks_on(GetParam().backend, GetParam().world_size, body);
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, Collectives, ::testing::ValuesIn(testing::all_rank_cases()),
                         [](const auto& each) { return testing::case_name(each.param); });

// One value per (rank, element), small enough that sums fit every dtype.
int value_of(int rank, int64_t i) { return static_cast<int>((rank + 1) * (i % 5) % 7); }

template <typename T>
std::vector<T> make_input(int rank, int64_t count) {
  std::vector<T> values(count);
  for (int64_t i = 0; i < count; ++i) values[i] = static_cast<T>(value_of(rank, i));
  return values;
}

template <typename T>
T expected(ReduceOp op, int world_size, int64_t i) {
  int result = value_of(0, i);
  for (int r = 1; r < world_size; ++r) {
    const int v = value_of(r, i);
    if (op == ReduceOp::kMax) {
      result = std::max(result, v);
    } else if (op == ReduceOp::kMin) {
      result = std::min(result, v);
    } else {
      result += v;
    }
  }
  using A = Acc<T>;
  return op == ReduceOp::kAverage ? T(static_cast<A>(result) / static_cast<A>(world_size))
                                  : static_cast<T>(result);
}

template <typename T>
void check_all_reduce(Communicator& comm, int64_t count, ReduceOp op) {
  auto data = make_input<T>(comm.rank(), count);
  comm.all_reduce(data.data(), count, dtype_of<T>, op)->wait();
  int64_t wrong = 0;
  for (int64_t i = 0; i < count; ++i) {
    wrong += data[i] != expected<T>(op, comm.world_size(), i);
  }
  EXPECT_EQ(wrong, 0) << name_of(dtype_of<T>) << " op " << static_cast<int>(op) << " count "
                      << count;
}

TEST_P(Collectives, AllReduceEveryDtypeOpAndCount) {
  run([](Communicator& comm) {
    // Around the limits of what travels with the call, a cache line, and the staging area.
    for (const int64_t count : {0, 1, 3, 511, 512, 513, 1024, 1025, 65'537, 300'001}) {
      for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kMin}) {
        check_all_reduce<double>(comm, count, op);
        check_all_reduce<float>(comm, count, op);
        check_all_reduce<BFloat16>(comm, count, op);
        check_all_reduce<Float16>(comm, count, op);
        check_all_reduce<int64_t>(comm, count, op);
        check_all_reduce<int32_t>(comm, count, op);
        check_all_reduce<uint8_t>(comm, count, op);
      }
      check_all_reduce<double>(comm, count, ReduceOp::kAverage);
      check_all_reduce<float>(comm, count, ReduceOp::kAverage);
      check_all_reduce<BFloat16>(comm, count, ReduceOp::kAverage);
      check_all_reduce<Float16>(comm, count, ReduceOp::kAverage);
    }
  });
}

// Rank 0 gives 256, the others 0.75: added to 256 one by one in bf16, each would count as 0 or 2.
TEST_P(Collectives, HalvesAreSummedInF32AndRoundedOnce) {
  run([](Communicator& comm) {
    const int n = comm.world_size();
    const float sum = 256.0f + static_cast<float>(n - 1) * 0.75f;
    for (const int64_t count : {1, 5, 700, 70'001}) {
      const std::vector<BFloat16> in(count, BFloat16(comm.rank() == 0 ? 256.0f : 0.75f));
      auto data = in;
      comm.all_reduce(data.data(), count, DType::kBF16, ReduceOp::kSum)->wait();
      int64_t wrong = 0;
      for (const BFloat16& v : data) wrong += v.bits != BFloat16(sum).bits;
      data = in;
      comm.all_reduce(data.data(), count, DType::kBF16, ReduceOp::kAverage)->wait();
      for (const BFloat16& v : data) {
        wrong += v.bits != BFloat16(sum / static_cast<float>(n)).bits;
      }
      std::vector<BFloat16> all(count * n, in[0]), part(count);
      comm.reduce_scatter(all.data(), part.data(), count, DType::kBF16, ReduceOp::kAverage)->wait();
      for (const BFloat16& v : part) {
        wrong += v.bits != BFloat16(sum / static_cast<float>(n)).bits;
      }
      EXPECT_EQ(wrong, 0) << count;
    }
  });
}

TEST_P(Collectives, AllReduceOfBoolIsOrAndAnd) {
  run([](Communicator& comm) {
    for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kMin}) {
      uint8_t flags[3] = {comm.rank() == 0, 1, 0};
      comm.all_reduce(flags, 3, DType::kBool, op)->wait();
      const bool is_or = op != ReduceOp::kMin;
      EXPECT_EQ(flags[0], is_or || comm.world_size() == 1);
      EXPECT_EQ(flags[1], 1);
      EXPECT_EQ(flags[2], 0);
    }
  });
}

TEST_P(Collectives, AllocatedBuffersAreZeroedAlignedAndReducedInPlace) {
  run([](Communicator& comm) {
    for (const int64_t count : {0, 1, 1000, 700'001, 3'000'000}) {
      const std::shared_ptr<void> memory = comm.allocate(count * 4);
      auto* data = static_cast<float*>(memory.get());
      EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % 64, 0u);
      int64_t wrong = 0;
      for (int64_t i = 0; i < count; ++i) wrong += data[i] != 0;
      for (int64_t i = 0; i < count; ++i) data[i] = static_cast<float>(value_of(comm.rank(), i));
      comm.all_reduce(data, count, DType::kF32, ReduceOp::kAverage)->wait();
      for (int64_t i = 0; i < count; ++i) {
        wrong += data[i] != expected<float>(ReduceOp::kAverage, comm.world_size(), i);
      }
      EXPECT_EQ(wrong, 0) << count;
    }
  });
}

TEST_P(Collectives, SomeRanksInAllocatedMemoryOthersNot) {
  run([](Communicator& comm) {
    constexpr int64_t kCount = 100'000;
    const std::shared_ptr<void> memory = comm.allocate(kCount * 8);
    std::vector<double> own(kCount);
    double* data = comm.rank() % 2 == 0 ? static_cast<double*>(memory.get()) : own.data();
    for (int64_t i = 0; i < kCount; ++i) data[i] = value_of(comm.rank(), i);
    comm.all_reduce(data, kCount, DType::kF64, ReduceOp::kSum)->wait();
    int64_t wrong = 0;
    for (int64_t i = 0; i < kCount; ++i) {
      wrong += data[i] != expected<double>(ReduceOp::kSum, comm.world_size(), i);
    }
    EXPECT_EQ(wrong, 0);
  });
}

TEST_P(Collectives, ManyStartedBeforeAnyIsWaitedFor) {
  run([](Communicator& comm) {
    constexpr int kPieces = 40;
    constexpr int64_t kCount = 3000;
    const std::shared_ptr<void> memory = comm.allocate(kPieces * kCount * 4);
    auto* data = static_cast<float*>(memory.get());
    std::vector<float> small(kPieces, static_cast<float>(comm.rank()));
    for (int round = 0; round < 5; ++round) {
      for (int64_t i = 0; i < kPieces * kCount; ++i) {
        data[i] = static_cast<float>(value_of(comm.rank(), i));
      }
      std::fill(small.begin(), small.end(), static_cast<float>(comm.rank()));
      std::vector<WorkPtr> works;
      for (int p = 0; p < kPieces; ++p) {
        works.push_back(comm.all_reduce(data + p * kCount, kCount, DType::kF32, ReduceOp::kSum));
        works.push_back(comm.all_reduce(&small[p], 1, DType::kF32, ReduceOp::kMax));
      }
      for (const WorkPtr& work : works) work->wait();
      int64_t wrong = 0;
      for (int64_t i = 0; i < kPieces * kCount; ++i) {
        wrong += data[i] != expected<float>(ReduceOp::kSum, comm.world_size(), i);
      }
      for (const float v : small) wrong += v != static_cast<float>(comm.world_size() - 1);
      ASSERT_EQ(wrong, 0) << "round " << round;
    }
  });
}

TEST_P(Collectives, DroppedWorkStillCompletes) {
  run([](Communicator& comm) {
    int32_t small = comm.rank();
    std::vector<int32_t> large(50'000, 1);
    comm.all_reduce(&small, 1, DType::kI32, ReduceOp::kSum);
    comm.all_reduce(large.data(), 50'000, DType::kI32, ReduceOp::kSum);
    comm.barrier();
    EXPECT_EQ(small, comm.world_size() * (comm.world_size() - 1) / 2);
    EXPECT_EQ(large.back(), comm.world_size());
  });
}

TEST_P(Collectives, IsDoneBecomesTrueWithoutWait) {
  run([](Communicator& comm) {
    int32_t value = 1;
    const WorkPtr work = comm.all_reduce(&value, 1, DType::kI32, ReduceOp::kSum);
    while (!work->is_done()) std::this_thread::yield();
    EXPECT_EQ(value, comm.world_size());
  });
}

TEST_P(Collectives, ReduceScatter) {
  run([](Communicator& comm) {
    for (const int64_t count : {0, 1, 100, 777, 150'000}) {
      const auto in = make_input<float>(comm.rank(), count * comm.world_size());
      std::vector<float> out(count);
      comm.reduce_scatter(in.data(), out.data(), count, DType::kF32, ReduceOp::kSum)->wait();
      int64_t wrong = 0;
      for (int64_t i = 0; i < count; ++i) {
        wrong +=
            out[i] != expected<float>(ReduceOp::kSum, comm.world_size(), comm.rank() * count + i);
      }
      EXPECT_EQ(wrong, 0) << count;
    }
  });
}

TEST_P(Collectives, AllGather) {
  run([](Communicator& comm) {
    for (const int64_t bytes : {0, 1, 4096, 4097, 1'500'001}) {
      const std::vector<uint8_t> in(bytes, static_cast<uint8_t>(comm.rank() + 1));
      std::vector<uint8_t> out(bytes * comm.world_size());
      comm.all_gather(in.data(), out.data(), bytes)->wait();
      int64_t wrong = 0;
      for (size_t i = 0; i < out.size(); ++i) wrong += out[i] != i / bytes + 1;
      EXPECT_EQ(wrong, 0) << bytes;
    }
  });
}

TEST_P(Collectives, BroadcastFromEachRoot) {
  run([](Communicator& comm) {
    for (int root = 0; root < comm.world_size(); ++root) {
      for (const int64_t bytes : {0, 1, 4096, 4097, 1'500'001}) {
        std::vector<uint8_t> data(bytes, static_cast<uint8_t>(comm.rank() + 1));
        comm.broadcast(data.data(), bytes, root)->wait();
        EXPECT_EQ(data, std::vector<uint8_t>(bytes, static_cast<uint8_t>(root + 1)));
      }
    }
  });
}

TEST_P(Collectives, CollectivesFromAllocatedMemory) {
  run([](Communicator& comm) {
    constexpr int64_t kCount = 60'000;
    const int n = comm.world_size();
    const std::shared_ptr<void> memory = comm.allocate(kCount * 4 * n);
    auto* data = static_cast<int32_t*>(memory.get());
    const auto in = make_input<int32_t>(comm.rank(), kCount * n);
    std::copy(in.begin(), in.end(), data);
    std::vector<int32_t> piece(kCount), all(kCount * n);
    comm.reduce_scatter(data, piece.data(), kCount, DType::kI32, ReduceOp::kSum)->wait();
    std::copy(piece.begin(), piece.end(), data);
    comm.all_gather(data, all.data(), kCount * 4)->wait();
    int64_t wrong = 0;
    for (int64_t i = 0; i < kCount * n; ++i) {
      wrong += all[i] != expected<int32_t>(ReduceOp::kSum, n, i);
    }
    EXPECT_EQ(wrong, 0);
    data[kCount - 1] = comm.rank();
    comm.broadcast(data, kCount * 4, n - 1)->wait();
    EXPECT_EQ(data[kCount - 1], n - 1);
  });
}

TEST_P(Collectives, FloatingSumsHaveTheSameBitsOnEveryRank) {
  run([](Communicator& comm) {
    for (const int64_t count : {100, 100'003}) {
      std::vector<float> data(count);
      for (int64_t i = 0; i < count; ++i) {
        data[i] = 1.0f / static_cast<float>(i + 1 + 7 * comm.rank());
      }
      comm.all_reduce(data.data(), count, DType::kF32, ReduceOp::kAverage)->wait();
      std::vector<float> all(count * comm.world_size());
      comm.all_gather(data.data(), all.data(), count * 4)->wait();
      for (int r = 1; r < comm.world_size(); ++r) {
        EXPECT_EQ(std::memcmp(all.data(), all.data() + r * count, count * 4), 0) << "rank " << r;
      }
    }
  });
}

TEST_P(Collectives, MessagesCrossAndKeepTheirOrder) {
  run([](Communicator& comm) {
    if (comm.world_size() == 1) return;
    const int n = comm.world_size();
    const int next = (comm.rank() + 1) % n, before = (comm.rank() + n - 1) % n;
    for (const int64_t bytes : {0, 5, 200'000}) {
      const std::vector<uint8_t> out1(bytes, static_cast<uint8_t>(comm.rank()));
      const std::vector<uint8_t> out2(bytes, static_cast<uint8_t>(comm.rank() + 100));
      std::vector<uint8_t> in1(bytes), in2(bytes);
      const WorkPtr recv1 = comm.recv(in1.data(), bytes, before);
      int32_t value = 1;
      const WorkPtr reduced = comm.all_reduce(&value, 1, DType::kI32, ReduceOp::kSum);
      const WorkPtr send1 = comm.send(out1.data(), bytes, next);
      const WorkPtr send2 = comm.send(out2.data(), bytes, next);
      const WorkPtr recv2 = comm.recv(in2.data(), bytes, before);
      for (const WorkPtr& work : {send2, recv2, recv1, send1, reduced}) work->wait();
      EXPECT_EQ(value, n);
      EXPECT_EQ(in1, std::vector<uint8_t>(bytes, static_cast<uint8_t>(before)));
      EXPECT_EQ(in2, std::vector<uint8_t>(bytes, static_cast<uint8_t>(before + 100)));
    }
  });
}

TEST_P(Collectives, StatisticsCountOperationsAndBytes) {
  run([](Communicator& comm) {
    float data[10] = {};
    comm.all_reduce(data, 10, DType::kF32, ReduceOp::kSum)->wait();
    comm.broadcast(data, 8, 0)->wait();
    comm.barrier();
    const CommStats stats = comm.stats();
    EXPECT_EQ(stats.operations, 3);
    EXPECT_EQ(stats.bytes, 48);
    EXPECT_EQ(stats.busy_seconds > 0, comm.world_size() > 1);
  });
}

}  // namespace
}  // namespace trireme
