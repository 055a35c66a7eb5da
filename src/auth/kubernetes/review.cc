#include "auth/kubernetes/review.h"

#include <algorithm>

namespace rekey::auth::kubernetes {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;

constexpr std::string_view kReviews = "/apis/authentication.k8s.io/v1/tokenreviews";
constexpr std::string_view kNamespaces = "/api/v1/namespaces/";
constexpr size_t kNamespaceBytesMax = 63;
constexpr std::string_view kAccountPrefix = "system:serviceaccount:";

std::unexpected<base::Error> not_vouched(std::string why) {
  return base::fail(ErrorKind::kDenied, "permission denied", std::move(why));
}

const Json& member(const Json& json, std::string_view name) {
  static const Json nothing;
  const Json* found = json.find(name);
  return found == nullptr ? nothing : *found;
}

// What is asked of the cluster by somebody's token.
net::OutgoingRequest request_to(const Review& review, std::string_view method,
                                std::string_view path) {
  net::OutgoingRequest request{.method = std::string(method), .url = review.host};
  while (request.url.ends_with('/')) request.url.pop_back();
  request.url += path;
  request.headers = {{"Accept", "application/json"},
                     {"Authorization", "Bearer " + std::string(review.reviewer)}};
  request.ca_pem = review.ca_pem;
  request.answer_bytes_max = kReviewBytesMax;
  return request;
}

// RFC 1123's label, which is what Kubernetes lets namespaces be called.
bool is_namespace(std::string_view name) {
  return !name.empty() && name.size() <= kNamespaceBytesMax &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

bool has_one_of(const Json& list, const std::vector<std::string>& wanted) {
  if (list.as_array() == nullptr) return false;
  return std::ranges::any_of(*list.as_array(), [&](const Json& item) {
    return item.as_string() != nullptr &&
           std::ranges::find(wanted, *item.as_string()) != wanted.end();
  });
}

}  // namespace

Account account_of(const Json& claims) {
  Account account;
  const std::string old = "kubernetes.io/serviceaccount/";
  account.space = claims.string_or(old + "namespace", "");
  account.name = claims.string_or(old + "service-account.name", "");
  account.uid = claims.string_or(old + "service-account.uid", "");
  account.secret_name = claims.string_or(old + "secret.name", "");
  const Json& bound = member(claims, "kubernetes.io");
  const Json& of = member(bound, "serviceaccount");
  if (account.space.empty()) account.space = bound.string_or("namespace", "");
  if (account.name.empty()) account.name = of.string_or("name", "");
  if (account.uid.empty()) account.uid = of.string_or("uid", "");
  return account;
}

Result<Account> read_review(std::string_view answer, const std::vector<std::string>& audiences) {
  const auto json = Json::parse(answer, {.depth_max = 32, .members_max = 10'000});
  if (!json) return not_vouched("the review is not JSON");
  const Json& status = member(*json, "status");
  if (const std::string problem = status.string_or("error", ""); !problem.empty()) {
    return not_vouched("the review says: " + problem.substr(0, 200));
  }
  const bool* authenticated = member(status, "authenticated").as_bool();
  if (authenticated == nullptr || !*authenticated) return not_vouched("the review says no");
  if (!audiences.empty() && !has_one_of(member(status, "audiences"), audiences)) {
    return not_vouched("the review is for other audiences");
  }
  const Json& user = member(status, "user");
  const std::string name = user.string_or("username", "");
  const std::string_view rest =
      name.starts_with(kAccountPrefix) ? std::string_view(name).substr(kAccountPrefix.size()) : "";
  const size_t colon = rest.find(':');
  if (colon == std::string_view::npos || rest.find(':', colon + 1) != std::string_view::npos) {
    return not_vouched("the review is not of a service account");
  }
  Account account;
  account.space = rest.substr(0, colon);
  account.name = rest.substr(colon + 1);
  account.uid = user.string_or("uid", "");
  if (account.space.empty() || account.name.empty() || account.uid.empty()) {
    return not_vouched("the review doesn't say whose the token is");
  }
  return account;
}

Result<Account> ask_for_review(const net::Outgoing& outgoing, const Review& review) {
  JsonObject spec{{"token", review.token}};
  if (!review.audiences.empty()) spec.set("audiences", Json::strings(review.audiences));
  const Json body(JsonObject{{"apiVersion", "authentication.k8s.io/v1"},
                             {"kind", "TokenReview"},
                             {"spec", std::move(spec)}});
  net::OutgoingRequest request = request_to(review, "POST", kReviews);
  request.headers.emplace_back("Content-Type", "application/json");
  request.body = body.dump();
  auto answer = outgoing.send(request);
  if (!answer) return forward(answer);
  if (answer->status != 200 && answer->status != 201) {
    return base::fail(ErrorKind::kUpstream,
                      "the review was answered with status " + std::to_string(answer->status));
  }
  return read_review(answer->body, review.audiences);
}

Result<Labels> read_labels(std::string_view answer, std::string_view space) {
  const auto unreadable = [] {
    return base::fail(ErrorKind::kUpstream, "the answer is not about the namespace");
  };
  const auto json = Json::parse(answer, {.depth_max = 32, .members_max = 10'000});
  if (!json) return unreadable();
  const Json& metadata = member(*json, "metadata");
  if (metadata.string_or("name", "") != space) return unreadable();
  Labels out;
  const Json& labels = member(metadata, "labels");
  if (labels.is_null()) return out;
  if (!labels.is_object()) return unreadable();
  for (const auto& [name, value] : *labels.as_object()) {
    if (!value.is_string()) return unreadable();
    out.emplace(name, *value.as_string());
  }
  return out;
}

Result<Labels> ask_for_labels(const net::Outgoing& outgoing, const Review& review,
                              std::string_view space) {
  if (!is_namespace(space)) return base::fail(ErrorKind::kInvalid, "not a namespace's name");
  auto answer =
      outgoing.send(request_to(review, "GET", std::string(kNamespaces) + std::string(space)));
  if (!answer) return forward(answer);
  if (answer->status != 200) {
    return base::fail(
        ErrorKind::kUpstream,
        "the question for a namespace was answered with status " + std::to_string(answer->status));
  }
  return read_labels(answer->body, space);
}

}  // namespace rekey::auth::kubernetes
