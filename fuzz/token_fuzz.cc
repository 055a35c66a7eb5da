// rooms: pipeline
// A token's row, a batch token's text and an address range, from anywhere: reading ends, what is
// taken is written and read back the same, and a batch token that wasn't sealed here is refused.
#include <cstdint>
#include <string>
#include <string_view>

#include "barrier/keyring.h"
#include "base/check.h"
#include "base/random.h"
#include "identity/token.h"
#include "logical/cidr.h"
#include "pipeline/authenticate.h"

namespace identity = rekey::identity;
namespace pipeline = rekey::pipeline;

namespace {

void read_row(std::string_view text) {
  const auto token = identity::decode_token(text);
  if (!token) return;
  const std::string row = identity::encode_token(*token);
  const auto again = identity::decode_token(row);
  REKEY_CHECK(again.has_value() && identity::encode_token(*again) == row);
  (void)token->is_root();
  (void)token->expired(rekey::base::WallTime(std::chrono::seconds(1'790'000'000)));
  (void)rekey::logical::address_allowed("10.1.2.3", token->bound_cidrs);
}

void read_batch_token(std::string_view text) {
  rekey::base::SeededRandom random(7);
  pipeline::State state;
  state.keyring = rekey::barrier::Keyring::generate(random, rekey::base::WallTime());
  state.keyring->extend_reserve(1);
  REKEY_CHECK(!pipeline::open_batch_token(state, text));
  identity::Token token;
  token.type = rekey::logical::TokenType::kBatch;
  token.display_name = "fuzz";
  const auto sealed = pipeline::seal_batch_token(state, token, random);
  REKEY_CHECK(sealed.has_value() && pipeline::open_batch_token(state, *sealed).has_value());
  // Any change of it is refused.
  std::string changed = *sealed;
  for (size_t i = 0; i < text.size(); i++) {
    char& place = changed[identity::kBatchPrefix.size() +
                          i % (changed.size() - identity::kBatchPrefix.size())];
    place = static_cast<char>(place ^ text[i]);
  }
  REKEY_CHECK(changed == *sealed || !pipeline::open_batch_token(state, changed));
}

void read_range(std::string_view text) {
  const auto range = rekey::logical::parse_cidr(text);
  if (!range) return;
  REKEY_CHECK(rekey::logical::parse_cidr(*range) == *range);
  const std::string host(text.substr(0, text.find('/')));
  REKEY_CHECK(rekey::logical::address_allowed(host, {*range}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_row(text);
  if (size >= identity::kBatchPrefix.size()) read_batch_token(text);
  read_range(text);
  return 0;
}
