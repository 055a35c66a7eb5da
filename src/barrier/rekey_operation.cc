#include "barrier/rekey_operation.h"

#include <span>
#include <utility>

#include "base/check.h"

namespace rekey::barrier {

using base::ErrorKind;
using base::SecretBytes;

namespace {

std::unexpected<base::Error> refuse(std::string why,
                                    std::source_location where = std::source_location::current()) {
  return base::fail(ErrorKind::kInvalid, std::move(why), {}, where);
}

std::string wrong_nonce(std::string_view operation, std::string_view nonce) {
  return "incorrect nonce supplied; nonce for this " + std::string(operation) + " operation is \"" +
         std::string(nonce) + "\"";
}

}  // namespace

base::Result<void> SealRekeyTarget::authorise(const SecretBytes& key) {
  base::Result<std::unique_ptr<storage::Reader>> reader = store_.open_reader();
  if (!reader) return base::forward(reader);
  return barrier_.verify_unseal_key(**reader, seal_, key);
}

base::Result<std::vector<SecretBytes>> SealRekeyTarget::prepare(const ShareCounts& counts) {
  base::Result<NewSeal> next = barrier_.prepare_seal(seal_, counts);
  if (!next) return base::forward(next);
  std::vector<SecretBytes> shares = std::exchange(next->shares, {});
  next_ = std::move(*next);
  return shares;
}

base::Result<void> SealRekeyTarget::apply() {
  REKEY_CHECK(next_.has_value());
  return barrier_.apply(*next_);
}

base::Result<void> RecoveryRekeyTarget::authorise(const SecretBytes& key) {
  base::Result<std::unique_ptr<storage::Reader>> reader = store_.open_reader();
  if (!reader) return base::forward(reader);
  return barrier_.verify_recovery_key(**reader, key);
}

base::Result<std::vector<SecretBytes>> RecoveryRekeyTarget::prepare(const ShareCounts& counts) {
  base::Result<NewRecovery> next = barrier_.prepare_recovery(counts);
  if (!next) return base::forward(next);
  std::vector<SecretBytes> shares = std::exchange(next->shares, {});
  next_ = std::move(*next);
  return shares;
}

base::Result<void> RecoveryRekeyTarget::apply() {
  REKEY_CHECK(next_.has_value());
  return barrier_.apply(*next_);
}

RekeyStatus RekeyOperation::status() const {
  if (!started_) return {};
  return {.started = true,
          .nonce = nonce_,
          .counts = request_.counts,
          .progress = collector_.progress(),
          .verification_required = request_.require_verification,
          .verification_nonce = verification_nonce_};
}

base::Result<void> RekeyOperation::start(const RekeyRequest& request) {
  if (request.backup && request.pgp_keys == 0) {
    return refuse(
        "cannot request a backup of the new keys without providing PGP keys for encryption");
  }
  if (request.pgp_keys > 0) {
    if (static_cast<int>(request.pgp_keys) != request.counts.shares) {
      return refuse("incorrect number of PGP keys for rekey");
    }
    return refuse("encrypting shares to PGP keys is not supported");
  }
  if (const base::Result<void> valid = check_share_counts(request.counts); !valid) {
    return refuse("invalid rekey seal configuration: " + valid.error().message());
  }
  if (started_) return refuse("rekey already in progress");
  started_ = true;
  request_ = request;
  nonce_ = random_.uuid();
  return {};
}

void RekeyOperation::cancel() {
  started_ = false;
  request_ = {};
  nonce_.clear();
  collector_.clear();
  expected_.wipe();
  verification_nonce_.clear();
  verification_.clear();
  target_.discard();
}

base::Result<std::optional<RekeyDone>> RekeyOperation::update(SecretBytes share,
                                                              std::string_view nonce,
                                                              int required) {
  base::Result<void> length = check_share_length(share);
  if (!length) return base::forward(length);
  if (!started_) return refuse("no " + std::string(target_.name()) + " rekey in progress");
  if (!verification_nonce_.empty()) {
    return refuse(
        "rekey operation already finished; verification must be performed; nonce for the "
        "verification operation is \"" +
        verification_nonce_ + "\"");
  }
  if (nonce != nonce_) return refuse(wrong_nonce("rekey", nonce_));
  if (collector_.contains(share)) {
    return refuse("given key has already been provided during this generation operation");
  }
  base::Result<std::optional<SecretBytes>> key = collector_.add(std::move(share), required);
  if (!key) return base::forward(key);
  if (!key->has_value()) return std::nullopt;
  base::Result<void> authorised = target_.authorise(**key);
  if (!authorised) return base::forward(authorised);
  base::Result<RekeyDone> done = finish();
  if (!done) return base::forward(done);
  return std::optional<RekeyDone>(std::move(*done));
}

base::Result<RekeyDone> RekeyOperation::finish() {
  base::Result<std::vector<SecretBytes>> shares = target_.prepare(request_.counts);
  if (!shares) return base::forward(shares);
  RekeyDone done{.nonce = nonce_,
                 .shares = std::move(*shares),
                 .verification_required = request_.require_verification,
                 .verification_nonce = {}};
  if (request_.require_verification) {
    const std::span<const SecretBytes> enough =
        std::span(done.shares).first(static_cast<size_t>(request_.counts.threshold));
    base::Result<SecretBytes> expected = combine_shares(enough, request_.counts.threshold);
    REKEY_CHECK(expected.has_value());
    expected_ = std::move(*expected);
    verification_nonce_ = random_.uuid();
    done.verification_nonce = verification_nonce_;
    return done;
  }
  base::Result<void> applied = target_.apply();
  if (!applied) return base::forward(applied);
  cancel();
  return done;
}

base::Result<RekeyVerifyStatus> RekeyOperation::verify_status() const {
  if (verification_nonce_.empty()) return refuse("no rekey configuration found");
  return RekeyVerifyStatus{.nonce = verification_nonce_,
                           .counts = request_.counts,
                           .progress = verification_.progress()};
}

base::Result<bool> RekeyOperation::verify(SecretBytes share, std::string_view nonce) {
  base::Result<void> length = check_share_length(share);
  if (!length) return base::forward(length);
  if (!started_) return refuse("no rekey in progress");
  if (verification_nonce_.empty()) return refuse("rekey verification not initialized");
  if (nonce != verification_nonce_) return refuse(wrong_nonce("verify", verification_nonce_));
  if (verification_.contains(share)) {
    return refuse("given key has already been provided during this verify operation");
  }
  base::Result<std::optional<SecretBytes>> key =
      verification_.add(std::move(share), request_.counts.threshold);
  if (key && !key->has_value()) return false;
  if (!key || !base::equal_constant_time((*key)->reveal(), expected_.reveal())) {
    verification_nonce_ = random_.uuid();
    return refuse("rekey verification failed; incorrect key shares supplied");
  }
  base::Result<void> applied = target_.apply();
  if (!applied) return base::forward(applied);
  cancel();
  return true;
}

base::Result<RekeyVerifyStatus> RekeyOperation::restart_verification() {
  if (verification_nonce_.empty()) return refuse("no rekey configuration found");
  verification_.clear();
  verification_nonce_ = random_.uuid();
  return verify_status();
}

}  // namespace rekey::barrier
