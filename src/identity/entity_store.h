// The entities and groups in the store: finding, keeping and leaving them, with the indexes that
// lead to them, within one request's Txn.
//
// Rows under identity/ (docs/formats/identity.md): entity/<id>, entity-name/<name>, alias/<id>,
// alias-of/<accessor>/<hash of name>, merged/<id>, member/<group>/<entity>, group/<id>,
// group-name/<name>, group-alias/<id>, group-alias-of/<accessor>/<hash of name>. Nothing is kept in
// memory: a login reads two rows however many entities there are. Reads are conditions of the
// commit. Nothing here decides who may do it, and nothing commits. Functions of their arguments.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "barrier/txn.h"
#include "base/clock.h"
#include "base/random.h"
#include "identity/entity.h"

namespace rekey::identity {

constexpr size_t kNameBytesMax = 128;         // of an entity or a group
constexpr size_t kAliasNameBytesMax = 2048;   // distinguished names and ARNs are long
constexpr size_t kMetadataPairsMax = 64;      // of one entity, alias or group
constexpr size_t kMetadataKeyBytesMax = 128;  // one key
constexpr size_t kMetadataValueBytesMax = 4096;

// Where an alias is kept: the entity (or group) and the alias in it.
struct AliasPlace {
  std::string owner, alias;
};

class EntityStore {
 public:
  EntityStore(barrier::Txn& txn, const base::Clock& clock, base::Random& random)
      : txn_(txn), clock_(clock), random_(random) {}

  base::Result<std::optional<Entity>> entity(std::string_view id);
  base::Result<std::optional<Entity>> entity_by_name(std::string_view name);
  // The entity that `id` is or was merged into.
  base::Result<std::optional<Entity>> entity_or_merged(std::string_view id);
  base::Result<std::optional<AliasPlace>> alias_of(std::string_view mount_accessor,
                                                   std::string_view name);
  base::Result<std::optional<std::string>> owner_of_alias(std::string_view alias_id);

  base::Result<std::optional<Group>> group(std::string_view id);
  base::Result<std::optional<Group>> group_by_name(std::string_view name);
  base::Result<std::optional<AliasPlace>> group_alias_of(std::string_view mount_accessor,
                                                         std::string_view name);
  base::Result<std::optional<std::string>> owner_of_group_alias(std::string_view alias_id);
  base::Result<std::vector<std::string>> members(std::string_view group_id);

  // Buffers the row and every index in which `after` differs from `before` (as it was read; null
  // for a new one). Sets the time of the change. The caller has seen that names are free.
  void save(const Entity* before, Entity& after);
  void remove(const Entity& entity);
  void save(const Group* before, Group& after);
  void remove(const Group& group);  // its members' and relatives' rows are the caller's

  Entity new_entity(std::string name = {});  // not saved; a name is made where none is given
  Group new_group(std::string name = {});
  Alias new_alias(std::string_view mount_accessor, std::string_view name);

  // A login: the entity with this alias, made if there is none, with the alias' metadata as the
  // login says. Writes nothing where nothing changed. Failure: kInvalid for what is too long.
  struct Found {
    Entity entity;
    std::string alias_id;
  };
  base::Result<Found> find_or_make(std::string_view mount_accessor, std::string_view name,
                                   const logical::StringPairs& metadata);
  // Makes `entity` a member of exactly those external groups of this mount that have one of these
  // alias names.
  base::Result<void> set_external_groups(Entity& entity, std::string_view mount_accessor,
                                         const std::vector<std::string>& names);

  std::string now_text() const { return base::format_rfc3339(clock_.wall()); }

 private:
  barrier::Txn& txn_;
  const base::Clock& clock_;
  base::Random& random_;
};

// Names: folded to lower case for the index, bounded, without control characters.
base::Result<void> check_name(std::string_view what, std::string_view name);
base::Result<void> check_metadata(const logical::StringPairs& metadata);

// Rows' keys, for lists.
std::string entity_key(std::string_view id);
std::string group_key(std::string_view id);
std::string entity_name_key(std::string_view name);
std::string group_name_key(std::string_view name);

}  // namespace rekey::identity
