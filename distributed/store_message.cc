#include "distributed/store_message.h"

#include <charconv>

#include "core/base/error.h"

namespace trireme {
namespace {

void put_u32(std::string& out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift);
}

uint32_t u32_at(const std::string& text, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    value |= static_cast<uint32_t>(static_cast<unsigned char>(text[at + i])) << (8 * i);
  }
  return value;
}

[[noreturn]] void throw_foreign(const char* why) {
  throw CommError(CommError::Kind::kMismatch,
                  concat("tcp store: the other side does not speak this protocol, ", why,
                         "; does something else use the port?"));
}

}  // namespace

std::string encode(const StoreFields& fields) {
  std::string body;
  for (const std::string& field : fields) {
    put_u32(body, static_cast<uint32_t>(field.size()));
    body += field;
  }
  std::string message;
  put_u32(message, static_cast<uint32_t>(body.size()));
  return message + body;
}

std::optional<StoreFields> take_message(std::string& received) {
  if (received.size() < 4) return std::nullopt;
  const size_t size = u32_at(received, 0);
  if (size == 0 || size > kLargestStoreMessage) throw_foreign("a message has an impossible length");
  if (received.size() < 4 + size) return std::nullopt;
  StoreFields fields;
  for (size_t at = 4; at < 4 + size;) {
    const size_t left = 4 + size - at;
    if (left < 4 || u32_at(received, at) > left - 4)
      throw_foreign("a field ends behind its message");
    const size_t length = u32_at(received, at);
    fields.push_back(received.substr(at + 4, length));
    at += 4 + length;
  }
  received.erase(0, 4 + size);
  return fields;
}

int64_t number_in(const std::string& field) {
  int64_t value = 0;
  const auto [stop, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc{} || stop != field.data() + field.size()) {
    throw_foreign("a number is not one");
  }
  return value;
}

}  // namespace trireme
