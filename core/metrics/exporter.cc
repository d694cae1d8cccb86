#include "core/metrics/exporter.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>

#include "core/base/error.h"
#include "core/metrics/families.h"
#include "core/metrics/gpu_families.h"

namespace trireme {
namespace {

class PageCollector : public prometheus::Collectable {
 public:
  explicit PageCollector(std::string run_id) : run_id_(std::move(run_id)) {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families = make_families(read_stats_pages(run_id_));
    const std::lock_guard lock(mutex_);  // scrapes may overlap
    for (auto& family : make_gpu_families(run_id_, gpus_.driver_version(), gpus_.read())) {
      families.push_back(std::move(family));
    }
    return families;
  }

 private:
  const std::string run_id_;
  mutable std::mutex mutex_;
  GpuMonitor gpus_;  // guarded by mutex_
};

/// Connects to our own port and hangs up.
void knock(const std::string& address, int port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  if (::inet_pton(AF_INET, address.c_str(), &to.sin_addr) != 1) return;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  ::close(fd);
}

}  // namespace

struct MetricsExporter::Server {
  explicit Server(const Options& options)
      : collector(std::make_shared<PageCollector>(options.run_id)),
        exposer(concat(options.address, ":", options.port)) {
    exposer.RegisterCollectable(collector);
  }

  std::shared_ptr<PageCollector> collector;  // the exposer keeps a weak pointer only
  prometheus::Exposer exposer;
};

MetricsExporter::MetricsExporter(const Options& options) : address_(options.address) {
  require(options.port >= 0 && options.port <= 65535, "metrics", "port must be in 0 to 65535, got ",
          options.port);
  try {
    server_ = std::make_unique<Server>(options);
  } catch (const std::exception& error) {
    // The library does not say what went wrong; a port in use is by far the most frequent.
    throw IoError(concat("metrics: cannot listen on ", options.address, " port ", options.port,
                         ", the port must be free and the address this host's, got '", error.what(),
                         "'; TRIREME_METRICS_PORT sets another port, TRIREME_METRICS=off none"));
  }
  port_ = server_->exposer.GetListeningPorts().at(0);
}

MetricsExporter::~MetricsExporter() {
  // The web server notices its end only at a connection, or after up to two seconds: too long for
  // whoever waits for a program to leave.
  std::atomic<bool> is_done{false};
  std::thread knocker([&] {
    while (!is_done) {
      knock(address_ == "0.0.0.0" ? "127.0.0.1" : address_, port_);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  server_.reset();
  is_done = true;
  knocker.join();
}

std::string MetricsExporter::url() const {
  const bool is_any = address_ == "0.0.0.0" || address_ == "127.0.0.1";
  return concat("http://", is_any ? "localhost" : address_, ":", port_, "/metrics");
}

}  // namespace trireme
