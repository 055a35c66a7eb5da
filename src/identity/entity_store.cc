#include "identity/entity_store.h"

#include <algorithm>

#include "base/codec.h"
#include "crypto/digest.h"

namespace rekey::identity {
namespace {

using base::ErrorKind;
using base::Result;

constexpr size_t kMembersMax = 100'000;  // of one group, in one answer

std::string key(std::string_view folder, std::string_view name) {
  std::string out(kIdentityPrefix);
  return out.append(folder).append(name);
}

// A name as part of a key: lower case (names differ by more than case), and nothing in it that a
// key's structure could be mistaken for.
std::string folded(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '/' || c == '%') {
      out.append("%").append(base::hex_encode(std::string_view(&c, 1)));
    } else {
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return out;
}

// Of any length, and nobody's business in the clear.
std::string alias_key(std::string_view folder, std::string_view mount_accessor,
                      std::string_view name) {
  return key(folder, mount_accessor) + "/" +
         base::hex_encode(crypto::as_bytes(crypto::sha256(name)));
}

std::string member_prefix(std::string_view group_id) { return key("member/", group_id) + "/"; }

// "<owner> <alias>"
std::string encode_place(std::string_view owner, std::string_view alias) {
  return std::string(owner) + " " + std::string(alias);
}

template <class Owner>
struct Folders;
template <>
struct Folders<Entity> {
  static constexpr std::string_view kName = "entity-name/", kAlias = "alias/",
                                    kAliasOf = "alias-of/";
};
template <>
struct Folders<Group> {
  static constexpr std::string_view kName = "group-name/", kAlias = "group-alias/",
                                    kAliasOf = "group-alias-of/";
};

// The index rows of an entity or a group: its name and its aliases.
template <class Owner>
void erase_indexes(barrier::Txn& txn, const Owner& owner) {
  txn.erase(key(Folders<Owner>::kName, folded(owner.name)));
  for (const Alias& alias : owner.aliases) {
    txn.erase(key(Folders<Owner>::kAlias, alias.id));
    txn.erase(alias_key(Folders<Owner>::kAliasOf, alias.mount_accessor, alias.name));
  }
}

template <class Owner>
void put_indexes(barrier::Txn& txn, const Owner& owner) {
  txn.put(key(Folders<Owner>::kName, folded(owner.name)), encode_place(owner.id, owner.name));
  for (const Alias& alias : owner.aliases) {
    txn.put(key(Folders<Owner>::kAlias, alias.id), owner.id);
    txn.put(alias_key(Folders<Owner>::kAliasOf, alias.mount_accessor, alias.name),
            encode_place(owner.id, alias.id));
  }
}

template <class Owner>
bool same_indexes(const Owner& before, const Owner& after) {
  return before.name == after.name &&
         std::ranges::equal(before.aliases, after.aliases, [](const Alias& a, const Alias& b) {
           return a.id == b.id && a.mount_accessor == b.mount_accessor && a.name == b.name;
         });
}

template <class Owner>
void change_indexes(barrier::Txn& txn, const Owner* before, const Owner& after) {
  if (before != nullptr && same_indexes(*before, after)) return;
  if (before != nullptr) erase_indexes(txn, *before);
  put_indexes(txn, after);
}

Result<std::optional<AliasPlace>> read_place(barrier::Txn& txn, const std::string& row_key) {
  auto row = txn.get(row_key);
  if (!row) return forward(row);
  if (!*row) return std::optional<AliasPlace>();
  const size_t space = (*row)->find(' ');
  if (space == std::string::npos) {
    return base::fail(ErrorKind::kCorrupt, "an index row of the identity store can't be read");
  }
  return AliasPlace{(*row)->substr(0, space), (*row)->substr(space + 1)};
}

}  // namespace

std::string entity_key(std::string_view id) { return key("entity/", id); }
std::string group_key(std::string_view id) { return key("group/", id); }
std::string entity_name_key(std::string_view name) { return key("entity-name/", folded(name)); }
std::string group_name_key(std::string_view name) { return key("group-name/", folded(name)); }

Result<std::optional<Entity>> EntityStore::entity(std::string_view id) {
  if (id.empty() || id.find('/') != id.npos) return std::optional<Entity>();
  auto row = txn_.get(entity_key(id));
  if (!row) return forward(row);
  if (!*row) return std::optional<Entity>();
  auto entity = decode_entity(**row);
  if (!entity) return forward(entity);
  return std::optional<Entity>(std::move(*entity));
}

Result<std::optional<Entity>> EntityStore::entity_by_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return std::optional<Entity>();
  auto place = read_place(txn_, entity_name_key(name));
  if (!place) return forward(place);
  if (!*place) return std::optional<Entity>();
  return entity((*place)->owner);
}

Result<std::optional<Entity>> EntityStore::entity_or_merged(std::string_view id) {
  auto found = entity(id);
  if (!found || *found || id.empty() || id.find('/') != id.npos) return found;
  auto into = txn_.get(key("merged/", id));
  if (!into) return forward(into);
  if (!*into) return std::optional<Entity>();
  return entity(**into);
}

Result<std::optional<AliasPlace>> EntityStore::alias_of(std::string_view mount_accessor,
                                                        std::string_view name) {
  return read_place(txn_, alias_key("alias-of/", mount_accessor, name));
}

Result<std::optional<std::string>> EntityStore::owner_of_alias(std::string_view alias_id) {
  if (alias_id.empty() || alias_id.find('/') != alias_id.npos) return std::optional<std::string>();
  return txn_.get(key("alias/", alias_id));
}

Result<std::optional<Group>> EntityStore::group(std::string_view id) {
  if (id.empty() || id.find('/') != id.npos) return std::optional<Group>();
  auto row = txn_.get(group_key(id));
  if (!row) return forward(row);
  if (!*row) return std::optional<Group>();
  auto group = decode_group(**row);
  if (!group) return forward(group);
  return std::optional<Group>(std::move(*group));
}

Result<std::optional<Group>> EntityStore::group_by_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return std::optional<Group>();
  auto place = read_place(txn_, group_name_key(name));
  if (!place) return forward(place);
  if (!*place) return std::optional<Group>();
  return group((*place)->owner);
}

Result<std::optional<AliasPlace>> EntityStore::group_alias_of(std::string_view mount_accessor,
                                                              std::string_view name) {
  return read_place(txn_, alias_key("group-alias-of/", mount_accessor, name));
}

Result<std::optional<std::string>> EntityStore::owner_of_group_alias(std::string_view alias_id) {
  if (alias_id.empty() || alias_id.find('/') != alias_id.npos) return std::optional<std::string>();
  return txn_.get(key("group-alias/", alias_id));
}

Result<std::vector<std::string>> EntityStore::members(std::string_view group_id) {
  return txn_.list(member_prefix(group_id), "", kMembersMax);
}

void EntityStore::save(const Entity* before, Entity& after) {
  after.updated = now_text();
  if (after.created.empty()) after.created = after.updated;
  change_indexes(txn_, before, after);
  for (const std::string& id : after.groups) {
    if (before == nullptr || !std::ranges::binary_search(before->groups, id)) {
      txn_.put(member_prefix(id) + after.id, "");
    }
  }
  if (before != nullptr) {
    for (const std::string& id : before->groups) {
      if (!std::ranges::binary_search(after.groups, id)) txn_.erase(member_prefix(id) + after.id);
    }
  }
  for (const std::string& id : after.merged) {
    if (before == nullptr || std::ranges::find(before->merged, id) == before->merged.end()) {
      txn_.put(key("merged/", id), after.id);
    }
  }
  txn_.put(entity_key(after.id), encode_entity(after));
}

void EntityStore::remove(const Entity& entity) {
  erase_indexes(txn_, entity);
  for (const std::string& id : entity.groups) txn_.erase(member_prefix(id) + entity.id);
  for (const std::string& id : entity.merged) txn_.erase(key("merged/", id));
  txn_.erase(entity_key(entity.id));
}

void EntityStore::save(const Group* before, Group& after) {
  after.updated = now_text();
  if (after.created.empty()) after.created = after.updated;
  after.revision++;
  change_indexes(txn_, before, after);
  txn_.put(group_key(after.id), encode_group(after));
}

void EntityStore::remove(const Group& group) {
  erase_indexes(txn_, group);
  txn_.erase(group_key(group.id));
}

Entity EntityStore::new_entity(std::string name) {
  Entity entity;
  entity.id = random_.uuid();
  entity.name = name.empty() ? "entity_" + random_.uuid().substr(0, 8) : std::move(name);
  return entity;
}

Group EntityStore::new_group(std::string name) {
  Group group;
  group.id = random_.uuid();
  group.name = name.empty() ? "group_" + random_.uuid().substr(0, 8) : std::move(name);
  return group;
}

Alias EntityStore::new_alias(std::string_view mount_accessor, std::string_view name) {
  Alias alias;
  alias.id = random_.uuid();
  alias.name = name;
  alias.mount_accessor = mount_accessor;
  alias.created = alias.updated = now_text();
  return alias;
}

Result<EntityStore::Found> EntityStore::find_or_make(std::string_view mount_accessor,
                                                     std::string_view name,
                                                     const logical::StringPairs& metadata) {
  if (name.size() > kAliasNameBytesMax) {
    return base::fail(ErrorKind::kInvalid, "the name to log in by is too long");
  }
  if (auto good = check_metadata(metadata); !good) return forward(good);
  auto place = alias_of(mount_accessor, name);
  if (!place) return forward(place);
  if (*place) {
    auto found = entity((*place)->owner);
    if (!found) return forward(found);
    Alias* alias = *found ? (*found)->alias((*place)->alias) : nullptr;
    if (alias == nullptr) {
      return base::fail(ErrorKind::kCorrupt, "an alias leads to no entity");
    }
    if (alias->metadata != metadata) {
      const Entity before = **found;
      alias->metadata = metadata;
      alias->updated = now_text();
      save(&before, **found);
    }
    return Found{std::move(**found), (*place)->alias};
  }
  Entity entity = new_entity();
  auto taken = txn_.get(entity_name_key(entity.name));
  if (!taken) return forward(taken);
  if (*taken) entity.name = "entity_" + entity.id;
  Alias alias = new_alias(mount_accessor, name);
  alias.metadata = metadata;
  const std::string alias_id = alias.id;
  entity.aliases.push_back(std::move(alias));
  save(nullptr, entity);
  return Found{std::move(entity), alias_id};
}

Result<void> EntityStore::set_external_groups(Entity& entity, std::string_view mount_accessor,
                                              const std::vector<std::string>& names) {
  if (names.empty() && entity.groups.empty()) return {};
  std::vector<std::string> wanted;
  for (const std::string& name : names) {
    auto place = group_alias_of(mount_accessor, name);
    if (!place) return forward(place);
    if (*place) add_sorted(wanted, (*place)->owner);
  }
  const Entity before = entity;
  for (const std::string& id : before.groups) {
    auto member_of = group(id);
    if (!member_of) return forward(member_of);
    const bool of_this_mount = *member_of && (*member_of)->external &&
                               !(*member_of)->aliases.empty() &&
                               (*member_of)->aliases[0].mount_accessor == mount_accessor;
    if (of_this_mount && !std::ranges::binary_search(wanted, id)) remove_sorted(entity.groups, id);
  }
  for (const std::string& id : wanted) add_sorted(entity.groups, id);
  if (entity.groups.size() > kEntityGroupsMax) {
    return base::fail(ErrorKind::kInvalid, "a member of too many groups");
  }
  if (entity.groups != before.groups) save(&before, entity);
  return {};
}

Result<void> check_name(std::string_view what, std::string_view name) {
  const auto bad = [&](std::string_view why) {
    return base::fail(ErrorKind::kInvalid, std::string(what) + " name " + std::string(why));
  };
  if (name.size() > kNameBytesMax) {
    return bad("is longer than " + std::to_string(kNameBytesMax) + " bytes");
  }
  if (!base::is_valid_utf8(name)) return bad("is not UTF-8");
  const bool control = std::ranges::any_of(
      name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (control) return bad("holds control characters");
  return {};
}

Result<void> check_metadata(const logical::StringPairs& metadata) {
  if (metadata.size() > kMetadataPairsMax) {
    return base::fail(ErrorKind::kInvalid,
                      "too many metadata pairs: at most " + std::to_string(kMetadataPairsMax));
  }
  for (const auto& [name, value] : metadata) {
    if (name.size() > kMetadataKeyBytesMax || value.size() > kMetadataValueBytesMax) {
      return base::fail(ErrorKind::kInvalid, "a metadata key or value is too long");
    }
  }
  return {};
}

}  // namespace rekey::identity
