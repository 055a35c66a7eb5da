// Service accounts as their tokens name them, and Kubernetes' word about a token (TokenReview,
// authentication.k8s.io/v1) and about a namespace's labels.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "auth/kubernetes/selector.h"
#include "base/error.h"
#include "base/json.h"
#include "net/outgoing.h"

namespace rekey::auth::kubernetes {

constexpr size_t kReviewBytesMax = 256 * 1024;  // of an answer, also of one about a namespace

struct Account {
  std::string space, name, uid;
  std::string secret_name;  // of tokens that lie in a Secret; others have none
  bool operator==(const Account&) const = default;
};

// From the claims of a bound token (KEP-1205) or of an older one that lies in a Secret. Members
// that aren't there are empty.
Account account_of(const base::Json& claims);

struct Review {
  std::string host, ca_pem;
  std::string_view reviewer;  // the token that asks
  std::string_view token;     // the one that is asked about
  std::vector<std::string> audiences;
};

// What Kubernetes says whose the token is; its secret's name is not among that. Blocks. Failure:
// kDenied where it doesn't vouch for the token or not for one of the audiences, else why it could
// not be asked; no message has a token in it.
base::Result<Account> ask_for_review(const net::Outgoing& outgoing, const Review& review);
// The same from the text of the answer.
base::Result<Account> read_review(std::string_view answer,
                                  const std::vector<std::string>& audiences);

// The labels of a namespace, as Kubernetes has them now. Blocks. Failure: why they are not known.
base::Result<Labels> ask_for_labels(const net::Outgoing& outgoing, const Review& review,
                                    std::string_view space);
// The same from the text of the answer.
base::Result<Labels> read_labels(std::string_view answer, std::string_view space);

}  // namespace rekey::auth::kubernetes
