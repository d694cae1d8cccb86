#include "core/metrics/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace trireme {
namespace {

template <typename... Values>
std::string print(const char* format, Values... values) {
  char text[64];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

void write_stderr(std::string_view text) {
  // A terminal that is gone must not stop training, so the result is ignored.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

std::string steps_text(const ProgressValues& values) {
  return "step " + std::to_string(values.step) + "/" + std::to_string(values.total_steps);
}

std::string eta_text(const ProgressValues& values) {
  const auto left = static_cast<double>(std::max<int64_t>(0, values.total_steps - values.step));
  return "eta " + format_duration(left * values.step_seconds);
}

int terminal_columns() {
  constexpr int kUsual = 80;
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

}  // namespace

std::string format_duration(double seconds) {
  constexpr double kMost = 1e9;  // 30 years; also keeps the conversion defined
  if (!(seconds >= 0 && seconds < kMost)) return "?";
  const auto s = static_cast<long long>(std::llround(seconds));
  if (s < 60) return print("%llds", s);
  if (s < 3600) return print("%lldm%02llds", s / 60, s % 60);
  if (s < 86400) return print("%lldh%02lldm", s / 3600, s / 60 % 60);
  return print("%lldd%02lldh", s / 86400, s / 3600 % 24);
}

std::string format_rate(double per_second) {
  if (!std::isfinite(per_second) || std::abs(per_second) >= 1e15) return "?";
  if (std::abs(per_second) < 99.95) return print("%.1f", per_second);
  std::string digits = print("%.0f", per_second);
  const size_t first = digits[0] == '-' ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string format_progress(const ProgressValues& values) {
  std::string line = steps_text(values);
  if (values.loss) line += print(" | loss %.4f", *values.loss);
  if (values.learning_rate) line += print(" | lr %.1e", *values.learning_rate);
  if (values.gradient_norm) {
    line += print(std::abs(*values.gradient_norm) < 1e4 ? " | norm %.2f" : " | norm %.1e",
                  *values.gradient_norm);
  }
  line += print(" | %.1f ms | ", values.step_seconds * 1e3);
  return line + format_rate(values.per_second) + " " + values.unit + "/s | " + eta_text(values);
}

std::string format_progress_bar(const ProgressValues& values, int columns) {
  const double share =
      values.total_steps > 0
          ? std::clamp(static_cast<double>(values.step) / static_cast<double>(values.total_steps),
                       0.0, 1.0)
          : 0.0;
  const std::string text =
      print(" %3.0f%% ", std::floor(share * 100)) + steps_text(values) + " | " + eta_text(values);
  const int width = columns - static_cast<int>(text.size()) - 2;
  if (width < 5) return text.substr(1, static_cast<size_t>(std::max(0, columns)));
  const auto full = static_cast<size_t>(share * width);
  std::string bar(full, '=');
  if (full < static_cast<size_t>(width)) bar += '>';
  bar.resize(static_cast<size_t>(width), ' ');
  return "[" + bar + "]" + text;
}

bool terminal_wants_bar() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && term && *term && std::string_view(term) != "dumb" &&
         !std::getenv("CI");
}

void ProgressReporter::print_line(const ProgressValues& values) {
  clear_bar();
  write_stderr(format_progress(values) + "\n");
}

void ProgressReporter::move_bar(const ProgressValues& values) {
  if (bar_ == Bar::kNo) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_draw_) return;
  next_draw_ = now + std::chrono::milliseconds(100);
  // One column less than the terminal has: writing the last one would wrap.
  write_stderr("\r\033[K" + format_progress_bar(values, terminal_columns() - 1));
  is_bar_shown_ = true;
}

void ProgressReporter::clear_bar() {
  if (!is_bar_shown_) return;
  write_stderr("\r\033[K");
  is_bar_shown_ = false;
}

}  // namespace trireme
