#include "net/loop_state.h"

#include <utility>

namespace rekey::net {
namespace {
constexpr size_t kSpareMessagesMax = 256;  // of a loop: 1 MiB
}  // namespace

// Assigning an empty string would keep the old one's memory, with the answer in it.
void Message::forget_answer() {
  std::string().swap(response.body);
  std::string().swap(unsent);
  response = Response();
  unsent_at = 0;
}

std::unique_ptr<Message> LoopState::take_message() {
  if (spare_messages.empty()) return std::make_unique<Message>();
  std::unique_ptr<Message> message = std::move(spare_messages.back());
  spare_messages.pop_back();
  return message;
}

void LoopState::give_message(std::unique_ptr<Message> message) {
  message->parser.clear();
  message->forget_answer();
  if (message->counted_bytes > 0) {
    shared.buffered_bytes.fetch_sub(std::exchange(message->counted_bytes, 0));
  }
  if (spare_messages.size() < kSpareMessagesMax) spare_messages.push_back(std::move(message));
}

}  // namespace rekey::net
