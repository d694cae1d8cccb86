// A bare HTTP client for tests: one GET over a socket, without a library that might mend mistakes.

#pragma once

#include <string>

namespace trireme {

struct HttpAnswer {
  int status = 0;  // 0 if nobody answered
  std::string body;
};

/// GET `path` from this host's `port`; waits at most 10 s for each part of the answer.
HttpAnswer http_get(int port, const std::string& path);

/// The value of the sample `series`, as it stands in the text: `name{label="x"}`. "" if absent.
std::string sample_of(const std::string& exposition, const std::string& series);

}  // namespace trireme
