// Everything that exists only while the server is unsealed, as one immutable snapshot.
//
// Swapped whole by StateKeeper (keeper.h); each lane holds a reference and compares one generation
// number before a request. Sealing publishes nothing and waits until every lane has let go: then
// the keys, tables and policies in here are gone from memory.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "audit/record.h"
#include "barrier/keyring.h"
#include "identity/cutoff.h"
#include "identity/token.h"
#include "logical/context.h"
#include "logical/mount_table.h"
#include "pipeline/device_table.h"
#include "pipeline/quota.h"
#include "pipeline/second_factor.h"
#include "pipeline/settings.h"
#include "policy/policy.h"

namespace rekey::pipeline {

using PolicySet = std::map<std::string, std::shared_ptr<const policy::Policy>, std::less<>>;

struct State {
  std::shared_ptr<const barrier::Keyring> keyring;
  std::shared_ptr<const logical::MountTable> mounts;
  std::shared_ptr<const PolicySet> policies;
  std::shared_ptr<const identity::CutoffTable> cutoffs;
  std::shared_ptr<const QuotaSet> quotas;
  std::shared_ptr<SecondFactors> second_factors;  // the same one until the server is sealed
  std::shared_ptr<const identity::TokenKeys> token_keys;
  std::shared_ptr<const audit::Hasher> hasher;            // of values in the record
  std::shared_ptr<const auditdev::DeviceSet> devices;     // Vault's audit devices; null: none
  std::shared_ptr<const AuditedHeaders> audited_headers;  // null: none
  std::shared_ptr<const Cors> cors;                       // null: off
  std::string cluster_name, cluster_id;
  uint64_t epoch = 0;              // of the store, as barrier::store_age takes it
  uint64_t policy_generation = 0;  // grows whenever an Acl compiled before is stale
};

}  // namespace rekey::pipeline
