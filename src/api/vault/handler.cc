#include "api/vault/handler.h"

#include "api/vault/render.h"
#include "api/vault/translate.h"

namespace rekey::api::vault {

// What lives from the request to its answer.
struct Handler::Call {
  net::Exchange exchange;
  logical::Request request;
};

void Handler::begin_turn(net::Loop&) {
  auto refreshed = lane_.refresh();
  if (!refreshed) {
    log_.error("api", "the store can't be read", {{"error", refreshed.error().describe()}});
  }
}

void Handler::handle(net::Exchange exchange) {
  auto call = std::make_shared<Call>(Call{std::move(exchange), {}});
  logical::Request& request = call->request;
  request.id = random_.uuid();
  request.received = clock_.wall();
  auto translated = translate(call->exchange.request(), request);
  if (!translated) {
    chain_.record_refused(lane_, request, translated.error());
    std::move(call->exchange).reply(render_error(translated.error()));
    return;
  }
  in_flight_++;
  chain_.run(lane_, request).start([this, call](base::Result<logical::Response> result) {
    in_flight_--;
    answer(*call, std::move(result));
  });
}

void Handler::answer(Call& call, base::Result<logical::Response> result) {
  if (result) {
    std::move(call.exchange).reply(render(call.request, std::move(*result)));
    return;
  }
  const base::Error& error = result.error();
  using base::ErrorKind;
  if (error.kind() == ErrorKind::kInternal || error.kind() == ErrorKind::kCorrupt ||
      error.kind() == ErrorKind::kUnavailable) {
    log_.error("api", "a request failed",
               {{"request_id", call.request.id}, {"error", error.describe()}});
  }
  std::move(call.exchange).reply(render_error(error));
}

void Handler::end_turn(net::Loop&) {
  // A commit of the record starts when about a third of the requests in flight wait for it, or at
  // once when there is nothing else to do (shared/reference/io.md).
  record_.set_group_target(static_cast<uint32_t>(std::max<size_t>(1, in_flight_ / 3)));
  if (lane_.waiting() > 0) record_.flush();
  // Until the next turn nothing is read: a snapshot held while idle would pin old pages.
  lane_.release();
}

void Handler::malformed(const net::PeerInfo& peer, int status, std::string_view reason) {
  logical::Request request;
  request.id = random_.uuid();
  request.received = clock_.wall();
  request.origin.address = peer.address;
  request.origin.port = peer.port;
  const auto kind = status == 413 ? base::ErrorKind::kTooLarge : base::ErrorKind::kInvalid;
  chain_.record_refused(lane_, request,
                        base::Error(kind, std::string(reason), "HTTP " + std::to_string(status)));
}

}  // namespace rekey::api::vault
