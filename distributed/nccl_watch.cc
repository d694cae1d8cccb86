#include "distributed/nccl_watch.h"

#include <cstdlib>

#include "core/base/exit_code.h"
#include "core/base/log.h"
#include "core/cuda/device.h"

namespace trireme {
namespace {

using std::chrono::milliseconds;

std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "unknown error";
  }
}

// Whoever waits for the GPU now waits for ever, this process's main thread perhaps, and nothing
// but its end frees it.
void end_process(const std::string& text) {
  log_error(text);
  std::_Exit(kExitUnavailable);
}

}  // namespace

NcclWatch::NcclWatch(NcclConnection& connection, const NcclOptions& options, Communicator* host)
    : connection_(connection), options_(options), host_(host), thread_([this] { run(); }) {}

NcclWatch::~NcclWatch() { stop(); }

void NcclWatch::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  entries_.clear();
}

void NcclWatch::add(std::shared_ptr<NcclWork> work, uint64_t number) {
  if (work->is_captured()) return;
  const std::lock_guard lock(mutex_);
  entries_.push_back({std::move(work), number});
}

void NcclWatch::ask_to_fail(std::exception_ptr error) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!wish_) wish_ = std::move(error);
  }
  wake_.notify_all();
}

void NcclWatch::wait_until_idle() {
  std::unique_lock lock(mutex_);
  wake_.notify_all();
  if (!entries_.empty()) cuda::count_sync();
  // Somebody waits: look as often as a short collective takes.
  while ((!entries_.empty() || retiring_ > 0) && !connection_.has_failed()) {
    lock.unlock();
    retire_done();
    lock.lock();
    if (entries_.empty() && retiring_ == 0) break;
    changed_.wait_for(lock, milliseconds(1));
  }
  connection_.throw_if_failed();
}

void NcclWatch::run() {
  try {
    cuda::make_current(connection_.place().device);
  } catch (const std::exception&) {
    ask_to_fail(std::current_exception());
  }
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!ended_) {
      const std::exception_ptr wish = wish_;
      lock.unlock();
      if (wish) {
        fail(wish);
      } else {
        look();
      }
      lock.lock();
    }
    if (stopping_) break;
    if (wish_ && !ended_) continue;
    wake_.wait_for(lock, options_.watch_interval);
  }
}

void NcclWatch::look() {
  try {
    connection_.throw_if_failed();
    retire_done();
    connection_.check_asynchronous();
    if (host_) host_->check();
    check_deadlines();
  } catch (const std::exception&) {
    fail(std::current_exception());
  }
}

void NcclWatch::retire_done() {
  std::deque<Entry> done;  // dropped outside the lock: buffers may go with it
  {
    const std::lock_guard lock(mutex_);
    while (!entries_.empty() && entries_.front().work->is_done()) {
      done.push_back(std::move(entries_.front()));
      entries_.pop_front();
    }
    if (done.empty()) return;
    ++retiring_;
  }
  done.clear();
  {
    const std::lock_guard lock(mutex_);
    --retiring_;
  }
  changed_.notify_all();
}

void NcclWatch::check_deadlines() {
  const char* call = nullptr;
  const milliseconds calling = connection_.call_in_progress(&call);
  // settle() watches calls that return; a margin lets it speak first.
  if (call && calling > connection_.timeout() + 2 * options_.watch_interval) {
    throw CommError(CommError::Kind::kTimeout,
                    concat("nccl: ", describe(connection_.place()), ": ", call,
                           " did not return in ", calling.count(), " ms"));
  }
  const std::lock_guard lock(mutex_);
  if (entries_.empty()) return;
  Entry& first = entries_.front();
  const auto now = NcclConnection::Clock::now();
  if (!first.could_begin) {
    if (first.work->is_ready()) first.could_begin = now;
    return;
  }
  const auto running = std::chrono::duration_cast<milliseconds>(now - *first.could_begin);
  if (running <= connection_.timeout()) return;
  throw CommError(CommError::Kind::kTimeout,
                  concat("nccl: ", describe(connection_.place()), ": ", first.work->description,
                         " is not done ", running.count(), " ms after it could begin; ",
                         arrivals(first.number)));
}

std::string NcclWatch::arrivals(uint64_t number) const {
  const std::vector<uint64_t> progress = host_ ? host_->progress() : std::vector<uint64_t>{};
  if (progress.empty()) return "which ranks have launched it is not known here";
  std::string here, missing;
  for (size_t r = 0; r < progress.size(); ++r) {
    if (progress[r] >= number) {
      here += concat(here.empty() ? "" : ", ", r);
    } else {
      missing += concat(missing.empty() ? "" : ", ", r, " (at #", progress[r], ")");
    }
  }
  if (missing.empty()) return concat("all ranks have launched it, ", here);
  return concat("ranks that have launched it: ", here, "; not: ", missing);
}

void NcclWatch::fail(std::exception_ptr error) noexcept {
  connection_.set_failed(error);
  const std::string text = text_of(error);
  // The peers first: NCCL's abort on all ranks needs them to stop too.
  if (host_) host_->abort(text);
  if (!connection_.abort()) {
    const std::string stuck =
        concat("nccl: ", describe(connection_.place()), ": the abort hung for ",
               options_.abort_timeout.count(), " ms after this: ", text);
    if (options_.on_stuck_abort) {
      options_.on_stuck_abort(stuck);
    } else {
      end_process(stuck);
    }
  }
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    wish_ = nullptr;
  }
  changed_.notify_all();
}

}  // namespace trireme
