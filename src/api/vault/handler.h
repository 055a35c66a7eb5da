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
#include "pipeline/in_flight.h"
#include "pipeline/lane.h"

namespace rekey::api::vault {

struct HandlerParts {
  pipeline::Chain& chain;
  pipeline::Lane& lane;
  audit::Log& record;
  const base::Clock& clock;
  base::Random& random;
  const base::Log& log;
  const std::vector<bool>& metrics_open;  // by listener: shows metrics without a token
};

class Handler final : public net::Handler {
 public:
  explicit Handler(HandlerParts parts) : parts_(parts) {}

  void begin_turn(net::Loop& loop) override;
  void handle(net::Exchange exchange) override;
  void end_turn(net::Loop& loop) override;
  // The requests that aren't answered yet; on this loop's thread.
  std::vector<pipeline::RequestInFlight> in_flight() const;
  void malformed(const net::PeerInfo& peer, int status, std::string_view reason) override;

 private:
  struct Call;
  bool answer_at_once(Call& call);
  void reply(Call& call, net::Response response);
  void record_refused(const logical::Request& request, const base::Error& error);
  void answer(Call& call, base::Result<logical::Response>&& result);

  HandlerParts parts_;
  std::vector<Call*> in_flight_;  // each knows its place in it
  bool refused_ = false;          // something was recorded that nobody waits for
};

}  // namespace rekey::api::vault
