// The listener's side of Vault's API: takes requests from net, hands them to the chain, answers.
// One for each io loop, on that loop's thread, with the lane it serves from.
#pragma once

#include <memory>

#include "audit/log.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "net/exchange.h"
#include "pipeline/chain.h"
#include "pipeline/lane.h"

namespace rekey::api::vault {

class Handler final : public net::Handler {
 public:
  Handler(pipeline::Chain& chain, pipeline::Lane& lane, audit::Log& record,
          const base::Clock& clock, base::Random& random, const base::Log& log)
      : chain_(chain), lane_(lane), record_(record), clock_(clock), random_(random), log_(log) {}

  void begin_turn(net::Loop& loop) override;
  void handle(net::Exchange exchange) override;
  void end_turn(net::Loop& loop) override;
  void malformed(const net::PeerInfo& peer, int status, std::string_view reason) override;

 private:
  struct Call;
  void answer(Call& call, base::Result<logical::Response> result);

  pipeline::Chain& chain_;
  pipeline::Lane& lane_;
  audit::Log& record_;
  const base::Clock& clock_;
  base::Random& random_;
  const base::Log& log_;
  size_t in_flight_ = 0;
};

}  // namespace rekey::api::vault
