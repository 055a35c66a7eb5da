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
  auto refreshed = parts_.lane.refresh();
  if (!refreshed) {
    parts_.log.error("api", "the store can't be read", {{"error", refreshed.error().describe()}});
  }
}

void Handler::handle(net::Exchange exchange) {
  auto call = std::make_shared<Call>(Call{std::move(exchange), {}});
  logical::Request& request = call->request;
  request.id = parts_.random.uuid();
  request.received = parts_.clock.wall();
  auto translated = translate(call->exchange.request(), request);
  if (!translated) {
    parts_.chain.record_refused(parts_.lane, request, translated.error());
    std::move(call->exchange).reply(render_error(translated.error()));
    return;
  }
  const size_t listener = call->exchange.request().peer().listener_index;
  request.origin.metrics_open =
      listener < parts_.metrics_open.size() && parts_.metrics_open[listener];
  in_flight_++;
  parts_.chain.run(parts_.lane, request)
      .start([this, call](base::Result<logical::Response> result) {
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
    parts_.log.error("api", "a request failed",
                     {{"request_id", call.request.id}, {"error", error.describe()}});
  }
  std::move(call.exchange).reply(render_error(error));
}

void Handler::end_turn(net::Loop&) {
  // A commit of the record starts when about a third of the requests in flight wait for it, or at
  // once when there is nothing else to do (shared/reference/io.md).
  parts_.record.set_group_target(static_cast<uint32_t>(std::max<size_t>(1, in_flight_ / 3)));
  if (parts_.lane.waiting() > 0) parts_.record.flush();
  // Until the next turn nothing is read: a snapshot held while idle would pin old pages.
  parts_.lane.release();
}

void Handler::malformed(const net::PeerInfo& peer, int status, std::string_view reason) {
  logical::Request request;
  request.id = parts_.random.uuid();
  request.received = parts_.clock.wall();
  request.origin.address = peer.address;
  request.origin.port = peer.port;
  const auto kind = status == 413 ? base::ErrorKind::kTooLarge : base::ErrorKind::kInvalid;
  parts_.chain.record_refused(
      parts_.lane, request,
      base::Error(kind, std::string(reason), "HTTP " + std::to_string(status)));
}

}  // namespace rekey::api::vault
