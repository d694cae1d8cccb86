#include "launcher/agent/descendants.h"

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace trireme {
namespace {

// A process may be gone between the opening and the reading of its file in /proc.
TEST(Children, AreFoundWhileProcessesEnd) {
  std::atomic<bool> done = false;
  std::thread others([&] {
    const char* const words[] = {"true", nullptr};
    for (int i = 0; i < 1000; ++i) {
      pid_t child = 0;
      ASSERT_EQ(
          ::posix_spawnp(&child, "true", nullptr, nullptr, const_cast<char**>(words), environ), 0);
      ::waitpid(child, nullptr, 0);
    }
    done = true;
  });
  int looks = 0;
  EXPECT_NO_THROW({
    for (; !done; ++looks) children();
  });
  others.join();
  EXPECT_GT(looks, 0);
  EXPECT_TRUE(children().empty());
}

}  // namespace
}  // namespace trireme
