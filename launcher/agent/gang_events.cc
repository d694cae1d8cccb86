// The waiting half of Gang: what it polls, and for how long.
#include <poll.h>

#include <algorithm>

#include "launcher/agent/gang.h"

namespace trireme {

int Gang::poll_limit_ms() const {
  if (phase_ == RankExit::When::kAfterKill && has_children_) return kRescanMs;
  if (out_.asks_for_pause() || err_.asks_for_pause()) return kRescanMs;
  std::optional<Clock::time_point> first;
  for (const auto& deadline : {time_up_, end_at_, kill_at_, give_up_at_}) {
    if (deadline) first = std::min(first.value_or(*deadline), *deadline);
  }
  if (!first) return -1;
  // Rounded up: waking too early would spin. An hour at most, so that the number fits.
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*first - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
}

void Gang::wait_for_events() {
  std::vector<pollfd> polled;
  std::vector<LogTee*> streams;
  polled.push_back({signals_.fd(), POLLIN, 0});
  polled.push_back({out_.has_text() ? out_.fd() : -1, POLLOUT, 0});
  polled.push_back({err_.has_text() ? err_.fd() : -1, POLLOUT, 0});
  for (Member& member : members_) {
    for (LogTee* stream : {&member.out, &member.err}) {
      if (stream->fd() < 0) continue;
      polled.push_back({stream->fd(), POLLIN, 0});
      streams.push_back(stream);
    }
  }
  if (::poll(polled.data(), polled.size(), poll_limit_ms()) <= 0) return;
  const auto* event = polled.data();
  if (event++->revents) {
    while (const int signal = signals_.next()) handle_signal(signal);
  }
  for (Console* console : {&out_, &err_}) {
    if (event++->revents) console->write_some();
  }
  for (LogTee* stream : streams) {
    if (event++->revents) stream->read_some();
  }
}

}  // namespace trireme
