// Starts `trireme exporter` as a child of a training process, where no launcher serves metrics.
//
// The child holds nothing of its parent's: not its standard streams, not its descriptors, not its
// terminal. It ends when it is told to, and by itself when the parent is gone (launcher/
// exporter_command.h).

#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>

namespace trireme {

/// The running child. Destroying it ends the child, in milliseconds (at most two seconds).
class ExporterProcess {
 public:
  /// Takes over a child and the pipe whose closing tells it that its parent is gone.
  ExporterProcess(pid_t pid, int lifeline_fd, std::string url);
  ~ExporterProcess();
  ExporterProcess(const ExporterProcess&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& url() const { return url_; }  // "http://localhost:9480/metrics"

 private:
  const pid_t pid_;
  const int lifeline_fd_;
  const std::string url_;
};

struct ExporterProcessOptions {
  std::string run_id = {};
  std::string address = {};                // "": TRIREME_METRICS_ADDRESS
  int port = -1;                           // negative: TRIREME_METRICS_PORT; 0: any free one
  std::string program = {};                // "": `trireme` beside this program
  std::chrono::milliseconds limit{5'000};  // for the child to say that it listens
};

/// True if this process should start an exporter once, in local rank 0: TRIREME_METRICS is auto.
/// A launcher that serves itself sets it to launcher for its ranks; off means no metrics over HTTP.
/// Throws InvalidArgument for any other value.
bool wants_exporter_process();

/// Starts the child and waits until it listens, about 10 ms. Any failure gives a warning and null:
/// metrics never stop training.
std::unique_ptr<ExporterProcess> start_exporter_process(const ExporterProcessOptions& options);

}  // namespace trireme
