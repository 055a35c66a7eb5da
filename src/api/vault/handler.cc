#include "api/vault/handler.h"

#include <algorithm>

#include "api/vault/cors.h"
#include "api/vault/render.h"
#include "api/vault/translate.h"
#include "pipeline/quota.h"

namespace rekey::api::vault {
namespace {

// The share of the requests in flight whose entries make a group before the loop runs dry.
constexpr size_t kGroupShareNumerator = 3;
constexpr size_t kGroupShareDenominator = 4;

}  // namespace

// What lives from the request to its answer.
struct Handler::Call {
  net::Exchange exchange;
  logical::Request request;
  std::string headers;  // for the answer, beside its own
  size_t place = 0;     // in in_flight_
};

namespace {

// The same target with each "//" made one slash, as Vault redirects to; empty where there is none.
std::string cleaned_target(const net::Request& http) {
  if (http.path.find("//") == std::string_view::npos) return {};
  std::string target;
  for (char c : http.path) {
    if (c != '/' || target.empty() || target.back() != '/') target += c;
  }
  if (!http.query.empty()) target.append("?").append(http.query);
  // It goes into a header: nothing that could end one, and no other host.
  const bool clean =
      std::ranges::all_of(target, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  return clean ? target : "/v1/";
}

}  // namespace

void Handler::begin_turn(net::Loop&) {
  auto refreshed = parts_.lane.refresh();
  if (!refreshed) {
    parts_.log.error("api", "the store can't be read", {{"error", refreshed.error().describe()}});
  }
}

void Handler::handle(net::Exchange exchange) {
  auto call = std::make_shared<Call>(Call{std::move(exchange), {}, {}});
  logical::Request& request = call->request;
  request.id = parts_.random.uuid();
  request.received = parts_.clock.wall();
  auto translated = translate(call->exchange.request(), request);
  if (answer_at_once(*call)) return;
  if (!translated) {
    record_refused(request, translated.error());
    reply(*call, render_error(translated.error()));
    return;
  }
  const size_t listener = call->exchange.request().peer().listener_index;
  request.origin.metrics_open =
      listener < parts_.metrics_open.size() && parts_.metrics_open[listener];
  call->place = in_flight_.size();
  in_flight_.push_back(call.get());
  parts_.chain.run(parts_.lane, request)
      .start([this, call](base::Result<logical::Response>&& result) {
        in_flight_.back()->place = call->place;
        in_flight_[call->place] = in_flight_.back();
        in_flight_.pop_back();
        answer(*call, std::move(result));
      });
}

void Handler::answer(Call& call, base::Result<logical::Response>&& result) {
  if (result) {
    reply(call, render(call.request, std::move(*result)));
    return;
  }
  const base::Error& error = result.error();
  using base::ErrorKind;
  if (error.kind() == ErrorKind::kInternal || error.kind() == ErrorKind::kCorrupt ||
      error.kind() == ErrorKind::kUnavailable) {
    parts_.log.error("api", "a request failed",
                     {{"request_id", call.request.id}, {"error", error.describe()}});
  }
  net::Response http = render_error(error);
  using pipeline::kRetryAfterDetail;
  if (error.kind() == ErrorKind::kLimited && error.detail().starts_with(kRetryAfterDetail)) {
    http.headers += "Retry-After: " + error.detail().substr(kRetryAfterDetail.size()) + "\r\n";
  }
  reply(call, std::move(http));
}

void Handler::reply(Call& call, net::Response response) {
  response.headers += call.headers;
  std::move(call.exchange).reply(std::move(response));
}

void Handler::record_refused(const logical::Request& request, const base::Error& error) {
  parts_.chain.record_refused(parts_.lane, request, error);
  refused_ = true;
}

// What is decided before the request means anything: pages of browsers that may not ask, their
// preflights, doubled slashes.
bool Handler::answer_at_once(Call& call) {
  const net::Request& http = call.exchange.request();
  if (!http.header("Origin").empty()) {
    const auto state = parts_.lane.state();
    CorsVerdict verdict = judge_origin(state == nullptr ? nullptr : state->cors.get(), http);
    call.headers = std::move(verdict.headers);
    if (verdict.refused) {
      const base::Error error(base::ErrorKind::kUnauthenticated, "origin not allowed");
      record_refused(call.request, error);
      reply(call, render_error(error));
      return true;
    }
    if (verdict.preflight) {
      net::Response empty;
      empty.content_type = {};
      reply(call, std::move(empty));
      return true;
    }
  }
  const std::string target = cleaned_target(http);
  if (target.empty()) return false;
  record_refused(call.request,
                 base::Error(base::ErrorKind::kInvalid, "redirected to a clean path"));
  net::Response redirect;
  redirect.status = 307;  // the one that keeps method and body, and that Vault's clients follow
  redirect.headers = "Location: " + target + "\r\n";
  redirect.body = "{\"errors\":[]}\n";
  reply(call, std::move(redirect));
  return true;
}

std::vector<pipeline::RequestInFlight> Handler::in_flight() const {
  std::vector<pipeline::RequestInFlight> out;
  for (const Call* call : in_flight_) {
    const net::Request& http = call->exchange.request();
    out.push_back({call->request.id, http.peer().address + ":" + std::to_string(http.peer().port),
                   std::string(http.path), std::string(http.method), call->request.received});
  }
  return out;
}

void Handler::end_turn(net::Loop&) {
  // A commit of the record starts here, when there is nothing else to do, or sooner when most of
  // what is in flight waits for it: each group costs the disk and the core the same, however small
  // it is, and the rest of what is in flight is work enough while it is being written. While one is
  // on its way its end comes first: it brings answers, and they bring the next requests.
  const size_t most = in_flight_.size() * kGroupShareNumerator / kGroupShareDenominator;
  parts_.record.set_group_target(static_cast<uint32_t>(std::max<size_t>(1, most)));
  const bool waited_for = parts_.lane.waiting() > 0 || refused_;
  if (waited_for && !parts_.record.committing()) {
    parts_.record.flush();
    refused_ = false;
  }
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
  record_refused(request, base::Error(kind, std::string(reason), "HTTP " + std::to_string(status)));
}

}  // namespace rekey::api::vault
