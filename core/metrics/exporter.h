// Serves the metrics of all ranks of a run on this node over HTTP, in Prometheus' text format.
//
// Nothing happens between scrapes; a scrape reads every rank's StatsPage (stats_page.h), those of
// dead ranks included, less than a millisecond in all, and asks the driver about the node's GPUs
// (nvml.h) where there is one. It runs two threads of its own. It must not
// live in a process that uses CUDA (thread stacks too small for cuBLAS' thread-local data), so
// training processes leave it to the launcher or to `trireme exporter`.

#pragma once

#include <memory>
#include <string>

namespace trireme {

class MetricsExporter {
 public:
  struct Options {
    std::string run_id;
    std::string address = "0.0.0.0";  // interface to listen on
    int port = 0;                     // 0: any free one, see port()
  };

  /// Listens from here on. Throws IoError naming address and port if the port is in use or the
  /// address is not this host's. Construct it after the last fork that does not exec.
  explicit MetricsExporter(const Options& options);
  ~MetricsExporter();
  MetricsExporter(const MetricsExporter&) = delete;

  int port() const { return port_; }
  /// "http://localhost:9480/metrics"
  std::string url() const;

 private:
  struct Server;
  std::unique_ptr<Server> server_;
  std::string address_;
  int port_ = 0;
};

}  // namespace trireme
