// docs/autograd.md lists the ops whose gradients cannot be differentiated again: exactly those of
// the table.

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

TEST(DocumentedOps, AreThoseThatCanBeDifferentiatedOnce) {
  std::ifstream file(TRIREME_SOURCE_DIR "/docs/autograd.md");
  if (!file) GTEST_SKIP() << "the sources are not on this machine";
  std::ostringstream text;
  text << file.rdbuf();
  const std::string doc = text.str();
  const size_t begin = doc.find("Differentiable only once: "), end = doc.find('.', begin);
  ASSERT_NE(end, std::string::npos);
  std::set<std::string> documented, tested;
  for (size_t at = doc.find('`', begin); at < end; at = doc.find('`', at)) {
    const size_t close = doc.find('`', at + 1);
    documented.insert(doc.substr(at + 1, close - at - 1));
    at = close + 1;
  }
  for (const OpCase& row : all_cases()) {
    if (!row.differentiable_once.empty()) tested.insert(row.differentiable_once);
  }
  EXPECT_EQ(documented, tested);
}

}  // namespace
}  // namespace trireme::testing
