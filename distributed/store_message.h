// What clients of a TCP store and its server say to each other.
//
// A message on the wire is its length (u32, little endian) and then its fields, each a length (u32)
// and bytes. The first message of a connection is kHello; a server of another version answers with
// kRefused and a text, whatever else changed.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme {

inline constexpr uint32_t kLargestStoreMessage = 64u << 20;  // anything longer is not ours

/// First field of a request.
namespace store_op {
inline constexpr char kHello[] = "trireme-store-1";  // library version
inline constexpr char kSet[] = "set";                // key, value
inline constexpr char kFind[] = "find";              // key
inline constexpr char kGet[] = "get";                // key; answered once it is set
inline constexpr char kAdd[] = "add";                // key, delta
inline constexpr char kGather[] = "gather";          // name, rank, world size, value; answered late
inline constexpr char kMissing[] = "missing";        // name, world size
inline constexpr char kAbort[] = "abort";            // reason
}  // namespace store_op

/// First field of an answer.
namespace store_answer {
inline constexpr char kOk[] = "ok";            // values
inline constexpr char kNothing[] = "nothing";  // find: not set
inline constexpr char kRefused[] = "refused";  // text
inline constexpr char kAborted[] = "aborted";  // gather: reason
}  // namespace store_answer

using StoreFields = std::vector<std::string>;

std::string encode(const StoreFields& fields);
/// Takes the first complete message out of `received`; nothing if it is not all there yet. Throws
/// CommError(kMismatch) for bytes that cannot be a message.
std::optional<StoreFields> take_message(std::string& received);

/// A whole number that came as text. Throws CommError(kMismatch).
int64_t number_in(const std::string& field);

}  // namespace trireme
