// Quotas on a request's way: the rate at the door, the number of leases where one is made.
#include "base/codec.h"
#include "pipeline/call.h"

namespace rekey::pipeline {
namespace {

using base::ErrorKind;
using base::Result;

// What the client calls the role that it logs in with or asks credentials of, as far as the request
// says it.
std::string_view role_of(const logical::Request& request) {
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

// 0. Before anything is looked up: one client's flood costs the others nothing.
Result<void> Chain::check_rate(const Call& call) {
  if (call.state == nullptr || !call.state->quotas->has(QuotaKind::kRateLimit)) return {};
  // What an operator needs to get a server going is never held back.
  if (call.match.route != nullptr && call.match.route->while_sealed) return {};
  const logical::Request& request = call.request;
  if (call.state->quotas->is_exempt(request.path)) return {};
  const std::string_view mount = call.mount == nullptr ? std::string_view() : call.mount->path;
  const auto* row = call.state->quotas->find(
      QuotaKind::kRateLimit, {.path = request.path, .mount = mount, .role = role_of(request)});
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
  const auto* row =
      quotas->find(QuotaKind::kLeaseCount,
                   {.path = request.path, .mount = call.mount->path, .role = role_of(request)});
  if (row == nullptr) return {};
  const int64_t there = row->leases->counted.load() + row->leases->since.fetch_add(1);
  if (there < row->quota.max_leases) return {};
  row->leases->since.fetch_sub(1);
  return over(request, "lease count", kRecountInterval);
}

}  // namespace rekey::pipeline
