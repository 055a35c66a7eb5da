// Entities, their aliases, and groups, as the store keeps them: who somebody is, whichever way they
// logged in. Rows are in docs/formats/identity.md. Values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "logical/row.h"

namespace rekey::identity {

constexpr std::string_view kIdentityPrefix = "identity/";  // of all rows here

constexpr size_t kAliasesMax = 64;           // of one entity
constexpr size_t kEntityGroupsMax = 1000;    // that one entity is a direct member of
constexpr size_t kGroupParentsMax = 256;     // of one group
constexpr size_t kGroupDepthMax = 16;        // groups in groups in groups ...
constexpr size_t kGroupsResolvedMax = 2000;  // groups looked at to find what one entity may do

// By which a mount knows somebody. Kept within its entity's or group's row.
struct Alias {
  std::string id, name;
  std::string mount_accessor;
  logical::StringPairs metadata;         // what the last login said
  logical::StringPairs custom_metadata;  // what an operator said
  std::vector<std::string> merged_from;  // ids of entities it belonged to before
  std::string created, updated;          // RFC 3339
};

struct Entity {
  std::string id, name;
  std::vector<std::string> policies;
  logical::StringPairs metadata;
  bool disabled = false;
  std::vector<Alias> aliases;
  std::vector<std::string> groups;  // ids of the groups that it is a direct member of; sorted
  std::vector<std::string> merged;  // ids of entities that were merged into it
  std::string created, updated;

  Alias* alias_of(std::string_view mount_accessor, std::string_view alias_name);
  Alias* alias(std::string_view alias_id);
};

struct Group {
  std::string id, name;
  bool external = false;  // its members come with their logins, by its alias
  std::vector<std::string> policies;
  logical::StringPairs metadata;
  std::vector<std::string> children;  // ids of groups in this one; sorted
  std::vector<std::string> parents;   // ids of groups that this one is in; sorted
  std::vector<Alias> aliases;         // at most one; of external groups
  int64_t revision = 0;               // counts its changes, as shown in modify_index
  std::string created, updated;
};

std::string encode_entity(const Entity& entity);
base::Result<Entity> decode_entity(std::string_view row);
std::string encode_group(const Group& group);
base::Result<Group> decode_group(std::string_view row);

// Adds to, or takes from, a sorted list. True where that changed it.
bool add_sorted(std::vector<std::string>& list, std::string_view item);
bool remove_sorted(std::vector<std::string>& list, std::string_view item);

}  // namespace rekey::identity
