// Quotas on a request's way: the rate at the door, the number of leases where one is made.
#include "base/codec.h"
#include "pipeline/call.h"

namespace rekey::pipeline {
namespace {

using base::ErrorKind;
using base::Result;

// The role that credentials are asked of, as far as the request says it.
std::string_view named_role(const logical::Request& request) {
  if (const base::Json* role = request.data.find("role"); role != nullptr && role->as_string()) {
    return *role->as_string();
  }
  const std::string_view path = request.path;
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

uint64_t client_number(std::string_view address) {
  return std::hash<std::string_view>{}(address) | 1;
}

std::unexpected<base::Error> over(const logical::Request& request, std::string_view what,
                                  base::Duration wait) {
  return base::fail(
      ErrorKind::kLimited,
      "request path \"" + request.path + "\": " + std::string(what) + " quota exceeded",
      std::string(kRetryAfterDetail) +
          std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count()));
}

}  // namespace

// A login's role may have to be looked up. What can't be found out is no role's.
std::string Chain::role_of(Lane& lane, Call& call) {
  const logical::Route* route = call.match.route;
  const bool login = route != nullptr && route->unauthenticated;
  if (login) {
    barrier::Txn txn(lane.reader(), *call.state->keyring, parts_.random);
    barrier::View view(txn, call.mount->storage_prefix());
    const logical::Fields none;
    CallContext context = context_of(lane, call, none, &view);
    auto found = call.mount->backend->login_role(context);
    if (found && !found->empty()) return std::move(*found);
  }
  return std::string(named_role(call.request));
}

// 0. Before anything is looked up: one client's flood costs the others nothing.
Result<void> Chain::check_rate(Lane& lane, Call& call) {
  if (call.state == nullptr || !call.state->quotas->has(QuotaKind::kRateLimit)) return {};
  // What an operator needs to get a server going is never held back.
  if (call.match.route != nullptr && call.match.route->while_sealed) return {};
  const logical::Request& request = call.request;
  if (call.state->quotas->is_exempt(request.path)) return {};
  const std::string_view mount = call.mount == nullptr ? std::string_view() : call.mount->path;
  std::string role;
  if (call.mount != nullptr && call.state->quotas->has_roles(QuotaKind::kRateLimit)) {
    role = role_of(lane, call);
  }
  const auto* row = call.state->quotas->find(QuotaKind::kRateLimit,
                                             {.path = request.path, .mount = mount, .role = role});
  if (row == nullptr) return {};
  const base::Duration wait =
      row->limiter->take(client_number(request.origin.address), parts_.clock.monotonic());
  if (wait.count() == 0) return {};
  return over(request, "rate limit", wait);
}

// Where a lease is about to be made, before its outside effect.
Result<void> Chain::check_lease_count(const Call& call) {
  const auto& quotas = call.state->quotas;
  if (!quotas->has(QuotaKind::kLeaseCount)) return {};
  const logical::Request& request = call.request;
  QuotaSet::Asked asked{
      .path = request.path, .mount = call.mount->path, .role = named_role(request)};
  std::shared_ptr<const logical::Mount> mount;
  // A login's role is known by now; where it waited for a second factor, so is what it came by.
  if (call.granted != nullptr) {
    mount = call.state->mounts->find(call.granted->path);
    asked.path = call.granted->path;
    asked.role = call.granted->login_role;
    if (mount != nullptr) asked.mount = mount->path;
  }
  const auto* row = quotas->find(QuotaKind::kLeaseCount, asked);
  if (row == nullptr) return {};
  const int64_t there = row->leases->counted.load() + row->leases->since.fetch_add(1);
  if (there < row->quota.max_leases) return {};
  row->leases->since.fetch_sub(1);
  return over(request, "lease count", kRecountInterval);
}

// A token that ends by itself is a lease too.
Result<void> Chain::check_new_token(const Call& call, const logical::Response& response) {
  if (!response.auth || response.auth->type != logical::TokenType::kService ||
      response.auth->lease_duration_s <= 0 || !call.txn || !call.txn->has_writes() ||
      !response.auth->mfa_requirement.empty() ||
      call.request.path.starts_with("auth/token/renew")) {
    return {};
  }
  return check_lease_count(call);
}

}  // namespace rekey::pipeline
