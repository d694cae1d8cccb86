// A store of files in a directory that all ranks see, such as NFS.
//
// A key is a file; it appears complete, by rename. Waiting means looking again, every 20 ms at the
// latest, so some thousand ranks are no load. The directory belongs to one run: a rank that finds
// its own entry there already refuses. It is left behind; whoever owns the run removes it.

#pragma once

#include <atomic>

#include "distributed/store.h"

namespace trireme {

class FileStore final : public Store {
 public:
  /// Creates the directory. Throws CommError: kSystem if it cannot, kMismatch if another version
  /// of the format is there.
  explicit FileStore(std::string directory);

  std::string describe() const override { return "file store " + directory_; }
  void set(const std::string& key, const std::string& value) override;
  std::optional<std::string> find(const std::string& key) override;
  std::string get(const std::string& key, std::chrono::milliseconds timeout) override;
  int64_t add(const std::string& key, int64_t delta) override;
  std::vector<std::string> gather(const std::string& name, int rank, int world_size,
                                  const std::string& mine,
                                  std::chrono::milliseconds timeout) override;
  void abort(const std::string& reason) noexcept override;
  void stop() noexcept override { stopped_ = true; }

 private:
  std::string path_of(const std::string& key) const;

  const std::string directory_;
  std::atomic<bool> stopped_{false};
};

}  // namespace trireme
