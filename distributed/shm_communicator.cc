#include "distributed/shm_communicator.h"

#include "core/base/shm_name.h"
#include "distributed/board_transport.h"
#include "distributed/node_group.h"
#include "distributed/shm_memory.h"
#include "distributed/transport_communicator.h"

namespace trireme {
namespace {

std::shared_ptr<void> share_board(NodeGroup& group, int rank, int world_size) {
  const int64_t bytes = BoardMemory::bytes_for(world_size);
  if (rank != 0) return map_shared_memory(group.take(), bytes);
  try {
    const FileDescriptor memory = make_shared_memory(bytes);
    std::shared_ptr<void> board = map_shared_memory(memory, bytes);
    BoardMemory::format(board.get(), group.processes());
    group.give(memory);
    return board;
  } catch (const std::exception& error) {
    group.give_error(error);
    throw;
  }
}

}  // namespace

std::unique_ptr<Communicator> make_shm_communicator(const std::string& run_id, int rank,
                                                    int world_size, const CommOptions& options) {
  const std::string name = shm_name_prefix(run_id) + "ranks";
  auto group = std::make_unique<NodeGroup>(name, rank, world_size, options.timeout);
  std::shared_ptr<void> board = share_board(*group, rank, world_size);
  auto memory = std::make_unique<ShmMemory>(std::move(group), rank, world_size);
  auto transport = std::make_unique<BoardTransport>("shm", std::move(board), std::move(memory),
                                                    rank, world_size, options.timeout);
  return std::make_unique<TransportCommunicator>(std::move(transport), rank, world_size, options);
}

}  // namespace trireme
