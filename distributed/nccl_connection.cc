#include "distributed/nccl_connection.h"

#include <condition_variable>
#include <thread>

#include "core/cuda/device.h"
#include "distributed/host_name.h"
#include "distributed/nccl_error.h"

namespace trireme {
namespace {

using std::chrono::milliseconds;

// NCCL accepts most calls within microseconds; only then does it pay to look all the time.
constexpr int kLooksWithoutNap = 200;
constexpr std::chrono::microseconds kNap{50};
// A thread that is inside NCCL gets this long to come out before the abort goes ahead without it.
constexpr milliseconds kTimeToLeave{500};

/// Runs `work` in a thread of its own; false if it is not done in time, and then left behind.
bool finishes(const std::function<void()>& work, milliseconds timeout) {
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
  };
  const auto shared = std::make_shared<Shared>();
  std::thread([shared, work] {
    work();
    const std::lock_guard lock(shared->mutex);
    shared->done = true;
    shared->changed.notify_all();
  }).detach();
  std::unique_lock lock(shared->mutex);
  return shared->changed.wait_for(lock, timeout, [&] { return shared->done; });
}

void try_make_current(int device) noexcept {
  try {
    cuda::make_current(device);
  } catch (const std::exception&) {
  }
}

void end_all(const std::vector<std::weak_ptr<cuda::GraphExec>>& graphs) noexcept {
  for (const auto& held : graphs) {
    if (const auto graph = held.lock()) graph->end();
  }
}

}  // namespace

std::string describe(const NcclPlace& place) {
  return concat("rank ", place.rank, " on ", host_name());
}

NcclConnection::NcclConnection(const NcclPlace& place, const NcclOptions& options,
                               milliseconds timeout)
    : place_(place), options_(options), timeout_(timeout), api_(nccl_api()) {}

NcclConnection::~NcclConnection() { abort(); }

ncclConfig_t NcclConnection::config() const {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  const auto set = [](int& field, int value, int unset) {
    if (value != unset) field = value;
  };
  set(config.minCTAs, options_.min_ctas, 0);
  set(config.maxCTAs, options_.max_ctas, 0);
  set(config.cgaClusterSize, options_.cga_cluster_size, -1);
  set(config.trafficClass, options_.traffic_class, -1);
  if (!options_.network.empty()) config.netName = options_.network.c_str();
  if (!options_.name.empty()) config.commName = options_.name.c_str();
  return config;
}

void NcclConnection::connect(const char* name,
                             const std::function<ncclResult_t(ncclComm_t*, ncclConfig_t*)>& begin) {
  ncclConfig_t wanted = config();
  try {
    std::unique_lock lock(calling_);
    const ncclResult_t result = settle(name, begin(&comm_, &wanted), lock);
    if (result == ncclInProgress) throw late(name);
    check_nccl(api_, name, result, comm_);
    is_connected_ = true;
  } catch (const std::exception&) {
    set_failed(std::current_exception());
    abort();
    throw;
  }
}

// Waits while NCCL is busy with a call. The lock is given up in between, so that an abort gets in.
ncclResult_t NcclConnection::settle(const char* name, ncclResult_t result,
                                    std::unique_lock<std::mutex>& lock) {
  const auto begin = Clock::now();
  for (int looks = 0; result == ncclInProgress; ++looks) {
    if (has_failed() || Clock::now() - begin > timeout_) return result;
    if (looks >= kLooksWithoutNap) {
      lock.unlock();
      std::this_thread::sleep_for(kNap);
      lock.lock();
    }
    // NCCL may fill in a new communicator late, from a thread of its own.
    const ncclComm_t comm = std::atomic_ref(comm_).load(std::memory_order_acquire);
    if (!comm) continue;
    const ncclResult_t asked = api_.comm_get_async_error(comm, &result);
    if (asked != ncclSuccess && asked != ncclInProgress) {
      throw nccl_error(api_, concat("ncclCommGetAsyncError after ", name).c_str(), asked, comm);
    }
  }
  return result;
}

CommError NcclConnection::late(const char* name) const {
  return {CommError::Kind::kTimeout,
          concat("nccl: ", describe(place_), " waited ", timeout_.count(), " ms for the other ",
                 place_.world_size - 1, " ranks in ", name,
                 "; a rank may be missing or unreachable: NCCL_DEBUG=INFO shows the interfaces, "
                 "NCCL_SOCKET_IFNAME chooses one, TRIREME_TIMEOUT_SECONDS gives it more time")};
}

void NcclConnection::call(const char* name, const Call& make_call) {
  const std::lock_guard one_at_a_time(callers_);
  std::unique_lock lock(calling_);
  throw_if_failed();
  if (!comm_) {
    throw CommError(CommError::Kind::kAborted,
                    concat("nccl: ", name, " after the communicator ", "was closed"));
  }
  call_begin_ = Clock::now();
  call_name_ = name;
  std::exception_ptr error;
  try {
    const ncclResult_t result = settle(name, make_call(comm_), lock);
    if (result == ncclInProgress && !has_failed()) throw late(name);
    if (result != ncclInProgress) check_nccl(api_, name, result, comm_);
  } catch (const std::exception&) {
    error = std::current_exception();
  }
  call_name_ = nullptr;
  lock.unlock();
  if (error) set_failed(error);
  throw_if_failed();
}

void NcclConnection::check_asynchronous() {
  std::unique_lock lock(calling_, std::try_to_lock);
  if (!lock || call_name_.load() || !comm_ || has_failed()) return;
  ncclResult_t state = ncclSuccess;
  check_nccl(api_, "ncclCommGetAsyncError", api_.comm_get_async_error(comm_, &state), comm_);
  if (state != ncclSuccess && state != ncclInProgress) {
    throw nccl_error(api_, "a collective", state, comm_);
  }
}

milliseconds NcclConnection::call_in_progress(const char** name) const {
  *name = call_name_.load();
  if (!*name) return milliseconds(0);
  return std::chrono::duration_cast<milliseconds>(Clock::now() - call_begin_.load());
}

void NcclConnection::throw_if_failed() const {
  if (!has_failed()) return;
  const std::lock_guard lock(failure_mutex_);
  std::rethrow_exception(failed_);
}

bool NcclConnection::set_failed(std::exception_ptr error) {
  const std::lock_guard lock(failure_mutex_);
  if (failed_) return false;
  failed_ = std::move(error);
  failed_flag_.store(true, std::memory_order_release);
  return true;
}

bool NcclConnection::abort() noexcept {
  try {
    // A thread that does not come out of NCCL in time is what the abort is for.
    std::unique_lock lock(calling_, std::defer_lock);
    const auto until = Clock::now() + kTimeToLeave;
    while (!lock.try_lock() && Clock::now() < until) std::this_thread::sleep_for(kNap);
    is_connected_ = false;
    const ncclComm_t comm = std::exchange(comm_, nullptr);
    // A rank that is capturing must get on: NCCL waits for the graph to go.
    if (lock.owns_lock()) lock.unlock();
    if (!comm) return true;
    // Beside the abort, which waits for them: the launch of one may itself wait for the abort.
    if (auto graphs = take_graphs(); !graphs.empty()) {
      std::thread([graphs = std::move(graphs), device = place_.device] {
        try_make_current(device);
        end_all(graphs);
      }).detach();
    }
    const auto end = [&api = api_, comm, device = place_.device] {
      try_make_current(device);  // else the abort says what is wrong, or works all the same
      api.comm_abort(comm);
    };
    return finishes(end, options_.abort_timeout);
  } catch (const std::exception&) {
    return false;  // no thread could be started
  }
}

void NcclConnection::add_graph(const std::shared_ptr<cuda::GraphExec>& graph) {
  const std::lock_guard lock(graphs_mutex_);
  std::erase_if(graphs_, [](const auto& held) { return held.expired(); });
  graphs_.push_back(graph);
  if (!is_connected()) graph->end();  // an abort has not seen it
}

std::vector<std::weak_ptr<cuda::GraphExec>> NcclConnection::take_graphs() {
  const std::lock_guard lock(graphs_mutex_);
  return std::exchange(graphs_, {});
}

void NcclConnection::end_graphs() noexcept { end_all(take_graphs()); }

void NcclConnection::learn_place() {
  call("ncclCommUserRank",
       [this](ncclComm_t comm) { return api_.comm_user_rank(comm, &place_.rank); });
  call("ncclCommCount",
       [this](ncclComm_t comm) { return api_.comm_count(comm, &place_.world_size); });
}

void NcclConnection::close() {
  if (!is_connected()) return;
  end_graphs();
  call("ncclCommFinalize", [this](ncclComm_t comm) { return api_.comm_finalize(comm); });
  is_connected_ = false;
  const std::lock_guard lock(calling_);
  if (const ncclComm_t comm = std::exchange(comm_, nullptr)) {
    check_nccl(api_, "ncclCommDestroy", api_.comm_destroy(comm));
  }
}

}  // namespace trireme
