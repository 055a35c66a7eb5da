#include "pipeline/keeper.h"

#include <algorithm>
#include <latch>

#include "base/check.h"

namespace rekey::pipeline {
namespace {

constexpr size_t kDisabledMountsAtOnce = 100;  // looked at in one turn of the clean-up

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using logical::Mount;

Mount first_mount(std::string_view path, std::string_view type, std::string_view description,
                  base::Random& random) {
  Mount mount;
  mount.path = path;
  mount.type = type;
  mount.uuid = random.uuid();
  mount.accessor = std::string(mount.is_auth() ? "auth_" : "") + std::string(type) + "_" +
                   random.uuid().substr(0, 8);
  mount.description = description;
  mount.local = type == "cubbyhole";
  return mount;
}

base::Result<Mount> parse_mount(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) {
    return base::fail(ErrorKind::kCorrupt, "a row of the mount table can't be read");
  }
  Mount mount;
  mount.path = row->string_or("path", "");
  mount.type = row->string_or("type", "");
  mount.uuid = row->string_or("uuid", "");
  mount.accessor = row->string_or("accessor", "");
  mount.description = row->string_or("description", "");
  if (const Json* options = row->find("options"); options != nullptr && options->as_object()) {
    for (const auto& [key, value] : *options->as_object()) {
      if (const std::string* text_value = value.as_string()) mount.options[key] = *text_value;
    }
  }
  if (const Json* config = row->find("config"); config != nullptr && config->as_object()) {
    mount.config = *config->as_object();
  }
  const auto seconds = [&](std::string_view name) {
    const Json* member = mount.config.find(name);
    return std::chrono::seconds(member == nullptr ? 0 : member->as_int().value_or(0));
  };
  const auto flag = [&](std::string_view name) {
    const Json* member = row->find(name);
    return member != nullptr && member->as_bool() && *member->as_bool();
  };
  mount.default_lease_ttl = seconds("default_lease_ttl");
  mount.max_lease_ttl = seconds("max_lease_ttl");
  mount.local = flag("local");
  mount.seal_wrap = flag("seal_wrap");
  mount.external_entropy_access = flag("external_entropy_access");
  return mount;
}

}  // namespace

std::shared_ptr<const logical::Backend> Catalog::make(const Mount& mount) const {
  const auto& kinds = mount.is_auth() ? auths_ : engines_;
  const auto kind = kinds.find(mount.type);
  return kind == kinds.end() ? nullptr : kind->second(mount);
}

bool Catalog::knows(std::string_view type, bool auth) const {
  const auto& kinds = auth ? auths_ : engines_;
  return kinds.find(type) != kinds.end();
}

Json Keeper::describe(const Mount& mount) {
  JsonObject options;
  for (const auto& [key, value] : mount.options) options.set(key, value);
  return JsonObject{{"path", mount.path},
                    {"type", mount.type},
                    {"uuid", mount.uuid},
                    {"accessor", mount.accessor},
                    {"description", mount.description},
                    {"options", std::move(options)},
                    {"config", mount.config},
                    {"local", mount.local},
                    {"seal_wrap", mount.seal_wrap},
                    {"external_entropy_access", mount.external_entropy_access}};
}

base::Result<void> Keeper::add_missing_rows(storage::Reader& reader,
                                            const barrier::Keyring& keyring) {
  barrier::Txn txn(reader, keyring, random_);
  const Mount first[] = {
      first_mount("sys/", "system", "system endpoints used for control, policy and debugging",
                  random_),
      first_mount("cubbyhole/", "cubbyhole", "per-token private secret storage", random_),
      first_mount("identity/", "identity", "identity store", random_),
      first_mount("auth/token/", "token", "token based credentials", random_),
  };
  for (const Mount& mount : first) {
    const std::string key = std::string(kMountPrefix) + mount.path;
    auto row = txn.get(key);
    if (!row) return forward(row);
    if (!*row) txn.put(key, describe(mount).dump());
  }
  auto policy = txn.get(std::string(kPolicyPrefix) + "default");
  if (!policy) return forward(policy);
  if (!*policy)
    txn.put(std::string(kPolicyPrefix) + "default", std::string(policy::default_policy_text()));
  auto cluster = txn.get(kClusterRow);
  if (!cluster) return forward(cluster);
  if (!*cluster) {
    const JsonObject row{{"name", "rekey-cluster-" + random_.uuid().substr(0, 8)},
                         {"id", random_.uuid()}};
    txn.put(kClusterRow, Json(row).dump());
  }
  if (!txn.has_writes()) return {};
  auto batch = txn.take_batch();
  if (!batch) return forward(batch);
  auto committed = store_.commit_and_wait(std::move(*batch));
  if (!committed) return forward(committed);
  return reader.refresh();
}

base::Result<logical::MountTable> Keeper::read_mounts(barrier::Txn& txn) {
  logical::MountTable::Rows rows;
  base::Result<void> problem;
  auto scanned = txn.scan(kMountPrefix, "", [&](std::string_view, std::string_view text) {
    auto mount = parse_mount(text);
    if (!mount) {
      problem = forward(mount);
      return false;
    }
    mount->backend = catalog_.make(*mount);
    if (mount->backend == nullptr) {
      log_.warn("pipeline", "a mount's type is not served by this build",
                {{"path", mount->path}, {"type", mount->type}});
      return true;
    }
    auto row = std::make_shared<const Mount>(std::move(*mount));
    rows.emplace(row->path, row);
    return true;
  });
  if (!scanned) return forward(scanned);
  if (!problem) return forward(problem);
  return logical::MountTable(std::move(rows));
}

base::Result<PolicySet> Keeper::read_policies(barrier::Txn& txn) {
  PolicySet policies;
  auto scanned = txn.scan(kPolicyPrefix, "", [&](std::string_view key, std::string_view text) {
    const std::string name(key.substr(kPolicyPrefix.size()));
    auto parsed = policy::parse_policy(name, text);
    if (!parsed) {
      // Was checked when it was written; grants nothing rather than stopping the server.
      log_.error("pipeline", "a stored policy can't be parsed and grants nothing",
                 {{"policy", name}, {"error", parsed.error().message()}});
      return true;
    }
    policies.emplace(name, std::make_shared<const policy::Policy>(std::move(*parsed)));
    return true;
  });
  if (!scanned) return forward(scanned);
  // Not stored and not to be changed: what a root token may do.
  auto root = policy::parse_policy("root", "");
  REKEY_CHECK(root.has_value());
  policies.insert_or_assign("root", std::make_shared<const policy::Policy>(std::move(*root)));
  auto wrapping =
      policy::parse_policy("response-wrapping", policy::response_wrapping_policy_text());
  REKEY_CHECK(wrapping.has_value());
  policies.insert_or_assign("response-wrapping",
                            std::make_shared<const policy::Policy>(std::move(*wrapping)));
  return policies;
}

base::Result<void> Keeper::read_settings(barrier::Txn& txn, State& state) {
  auto cors_row = txn.peek(kCorsRow);
  if (!cors_row) return forward(cors_row);
  state.cors = nullptr;
  if (*cors_row) {
    auto cors = decode_cors(**cors_row);
    if (!cors) return forward(cors);
    state.cors = std::make_shared<const Cors>(std::move(*cors));
  }
  auto rotation_row = txn.peek(kRotationRow);
  if (!rotation_row) return forward(rotation_row);
  barrier::RotationPolicy rotation;
  if (*rotation_row) {
    auto decoded = decode_rotation(**rotation_row);
    if (!decoded) return forward(decoded);
    rotation = *decoded;
  }
  barrier_.set_rotation_policy(rotation);
  return {};
}

base::Result<void> Keeper::open() {
  std::lock_guard lock(mutex_);
  auto keyring = barrier_.keyring();
  REKEY_CHECK(keyring != nullptr);
  auto reader = store_.open_reader();
  if (!reader) return forward(reader);
  auto rows = add_missing_rows(**reader, *keyring);
  if (!rows) return rows;
  barrier::Txn txn(**reader, *keyring, random_);
  auto mounts = read_mounts(txn);
  if (!mounts) return forward(mounts);
  auto policies = read_policies(txn);
  if (!policies) return forward(policies);
  auto cutoffs = identity::CutoffTable::load(**reader, txn);
  if (!cutoffs) return forward(cutoffs);
  auto state = std::make_shared<State>();
  state->mounts = std::make_shared<const logical::MountTable>(std::move(*mounts));
  state->policies = std::make_shared<const PolicySet>(std::move(*policies));
  state->cutoffs = std::make_shared<const identity::CutoffTable>(std::move(*cutoffs));
  auto quotas = QuotaSet::load(**reader, txn, nullptr);
  if (!quotas) return forward(quotas);
  state->quotas = std::make_shared<const QuotaSet>(std::move(*quotas));
  state->second_factors = std::make_shared<SecondFactors>();
  state->token_keys = std::make_shared<const identity::TokenKeys>(keyring->derive("token-hash"));
  state->hasher = std::make_shared<const audit::Hasher>(keyring->derive("audit-hash"));
  if (devices_ != nullptr) {
    auto devices = devices_->load(txn);
    if (!devices) return forward(devices);
    state->devices = std::move(*devices);
  }
  auto headers = DeviceTable::load_headers(txn);
  if (!headers) return forward(headers);
  state->audited_headers = std::move(*headers);
  auto settings = read_settings(txn, *state);
  if (!settings) return settings;
  auto cluster = txn.peek(kClusterRow);
  if (!cluster) return forward(cluster);
  if (const auto row = Json::parse(cluster->value_or(""))) {
    state->cluster_name = cluster_name_.empty() ? row->string_or("name", "") : cluster_name_;
    state->cluster_id = row->string_or("id", "");
  }
  auto epoch = barrier_.epoch(**reader);
  if (!epoch) return forward(epoch);
  state->epoch = *epoch;
  state->policy_generation = 1;
  state->keyring = std::move(keyring);
  state_.publish(std::move(state));
  return {};
}

void Keeper::close() {
  std::lock_guard lock(mutex_);
  std::shared_ptr<const logical::MountTable> mounts;
  if (const auto last = state_.get()) mounts = last->mounts;
  state_.publish(nullptr);
  std::latch let_go(static_cast<ptrdiff_t>(lanes_.size()));
  for (Lane* lane : lanes_) {
    lane->post([lane, &let_go] {
      lane->forget();
      let_go.count_down();
    });
  }
  let_go.wait();
  // No request can reach a device any more; their salts go with them.
  if (devices_ != nullptr) devices_->close_all();
  if (mounts != nullptr) {
    for (const auto& [path, mount] : mounts->rows()) mount->backend->forget_secrets();
  }
  barrier_.seal();
}

base::Result<void> Keeper::renew(const Change& change) {
  std::lock_guard lock(mutex_);
  const auto current = state_.get();
  if (current == nullptr) return base::fail(ErrorKind::kSealed, "Vault is sealed");
  auto reader = store_.open_reader();
  if (!reader) return forward(reader);
  auto next = std::make_shared<State>(*current);
  barrier::Txn txn(**reader, *next->keyring, random_);
  auto changed = change(*next, **reader, txn);
  if (!changed) return changed;
  next->policy_generation++;
  state_.publish(std::move(next));
  return {};
}

base::Result<void> Keeper::reload_keyring() {
  return renew([&](State& next, storage::Reader&, barrier::Txn&) -> base::Result<void> {
    next.keyring = barrier_.keyring();
    if (next.keyring == nullptr) return base::fail(ErrorKind::kSealed, "Vault is sealed");
    return {};
  });
}

base::Result<void> Keeper::reload_mounts() {
  return renew([&](State& next, storage::Reader&, barrier::Txn& txn) -> base::Result<void> {
    auto mounts = read_mounts(txn);
    if (!mounts) return forward(mounts);
    next.mounts = std::make_shared<const logical::MountTable>(std::move(*mounts));
    return {};
  });
}

base::Result<void> Keeper::reload_policy(std::string_view name) {
  return renew([&](State& next, storage::Reader&, barrier::Txn& txn) -> base::Result<void> {
    auto text = txn.peek(std::string(kPolicyPrefix) + std::string(name));
    if (!text) return forward(text);
    PolicySet policies = *next.policies;
    policies.erase(std::string(name));
    if (*text) {
      auto parsed = policy::parse_policy(std::string(name), **text);
      if (!parsed) return forward(parsed);
      policies.emplace(name, std::make_shared<const policy::Policy>(std::move(*parsed)));
    }
    next.policies = std::make_shared<const PolicySet>(std::move(policies));
    return {};
  });
}

base::Result<void> Keeper::reload_devices() {
  if (devices_ == nullptr) return {};
  auto renewed = renew([&](State& next, storage::Reader&, barrier::Txn& txn) -> base::Result<void> {
    auto devices = devices_->load(txn);
    if (!devices) return forward(devices);
    next.devices = std::move(*devices);
    return {};
  });
  devices_->close_dropped();
  return renewed;
}

base::Result<void> Keeper::reload_audited_headers() {
  return renew([&](State& next, storage::Reader&, barrier::Txn& txn) -> base::Result<void> {
    auto headers = DeviceTable::load_headers(txn);
    if (!headers) return forward(headers);
    next.audited_headers = std::move(*headers);
    return {};
  });
}

base::Result<void> Keeper::reload_settings() {
  return renew([&](State& next, storage::Reader&, barrier::Txn& txn) -> base::Result<void> {
    return read_settings(txn, next);
  });
}

base::Result<void> Keeper::reload_cutoffs() {
  return renew([&](State& next, storage::Reader& reader, barrier::Txn& txn) -> base::Result<void> {
    auto cutoffs = identity::CutoffTable::load(reader, txn);
    if (!cutoffs) return forward(cutoffs);
    next.cutoffs = std::make_shared<const identity::CutoffTable>(std::move(*cutoffs));
    return {};
  });
}

base::Result<uint64_t> Keeper::advance_epoch() {
  auto epoch = barrier_.raise_epoch();
  if (!epoch) return epoch;
  auto renewed = renew([&](State& next, storage::Reader&, barrier::Txn&) -> base::Result<void> {
    next.epoch = std::max(next.epoch, *epoch);
    return {};
  });
  if (!renewed) return forward(renewed);
  return epoch;
}

base::Result<void> Keeper::reload_quotas() {
  return renew([&](State& next, storage::Reader& reader, barrier::Txn& txn) -> base::Result<void> {
    auto quotas = QuotaSet::load(reader, txn, next.quotas.get());
    if (!quotas) return forward(quotas);
    next.quotas = std::make_shared<const QuotaSet>(std::move(*quotas));
    return {};
  });
}

base::Result<std::shared_ptr<const Mount>> Keeper::disabled_mount(barrier::Txn& txn,
                                                                  std::string_view uuid) const {
  auto row = txn.peek(std::string(kDisabledMountPrefix) + std::string(uuid));
  if (!row) return forward(row);
  if (!*row) return std::shared_ptr<const Mount>();
  auto mount = parse_mount(**row);
  if (!mount) return forward(mount);
  mount->backend = catalog_.make(*mount);
  if (mount->backend == nullptr) return std::shared_ptr<const Mount>();
  return std::make_shared<const Mount>(std::move(*mount));
}

base::Result<std::vector<std::shared_ptr<const Mount>>> Keeper::disabled_mounts(
    storage::Reader& reader, barrier::Txn& txn) const {
  auto keys = reader.scan(kDisabledMountPrefix, "", kDisabledMountsAtOnce);
  if (!keys) return forward(keys);
  std::vector<std::shared_ptr<const Mount>> mounts;
  for (const std::string& key : *keys) {
    auto mount = disabled_mount(txn, std::string_view(key).substr(kDisabledMountPrefix.size()));
    if (!mount) return forward(mount);
    if (*mount != nullptr) mounts.push_back(std::move(*mount));
  }
  return mounts;
}

void Keeper::keep_disabled(barrier::Txn& txn, const Mount& mount) {
  txn.put(std::string(kDisabledMountPrefix) + mount.uuid, describe(mount).dump());
}

}  // namespace rekey::pipeline
