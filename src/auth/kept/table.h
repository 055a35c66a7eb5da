// The tables that describe a kept auth method: its paths, their fields with Vault's defaults, and
// its logins. Constants; any thread.
#pragma once

#include <span>
#include <string_view>

#include "logical/route.h"
#include "logical/token_params.h"

namespace rekey::auth::kept {

enum class Shown {
  kAlways,
  kNotEmpty,  // only where it says something
  kNever,     // a secret: taken and kept, never given back
};

struct KeptField {
  std::string_view name;
  logical::FieldType type = logical::FieldType::kString;
  std::string_view otherwise = "";  // JSON of the default; empty: that of the type
  Shown shown = Shown::kAlways;
  std::string_view choices = {};   // "a|b|c"; empty: anything
  std::string_view required = {};  // the error where it is empty; empty: it may be
  std::string_view only_for = {};  // shown where the field "type" has this value
  bool policies = false;           // cleaned like policies: lower case, sorted
  bool joined = false;             // a list that is shown as one text with commas
};

struct KeptPath {
  std::string_view pattern;  // "config", "users/{name}"
  std::string_view row;      // its row, or the folder of its rows, which then ends in '/'
  std::string_view list;     // where its names are listed; empty: they aren't
  std::string_view list_too = {};
  std::span<const KeptField> fields;
  std::string_view synopsis;
  bool token_fields = false;
  std::span<const logical::OlderName> older = {};
  bool lower_names = false;     // names are one in whatever case
  bool shows_defaults = false;  // read before it was written: the defaults instead of 404
  bool tells_create = false;    // its creation needs `create`
  bool erasable = true;
  std::string_view id_field = {};    // given a UUID when it is made, and shown
  std::string_view name_field = {};  // its name is shown too
};

// A path that adds to and removes from one list of what another path keeps.
struct KeptEdit {
  std::string_view pattern;
  const KeptPath* path;
  std::string_view field;
  std::string_view only_for;   // the field "type" must have this value
  std::string_view attribute;  // what the error calls the list
  bool pairs = false;          // of "key:value": a key is removed, and added once
};

struct KeptLogin {
  std::string_view pattern;
  std::span<const KeptField> fields;
};

struct KeptTable {
  std::string_view type;
  std::span<const KeptPath> paths;
  std::span<const KeptLogin> logins;
  std::span<const KeptEdit> edits = {};
};

// ldap, github, okta, radius.
std::span<const KeptTable> directory_tables();
// aws, gcp, azure.
std::span<const KeptTable> cloud_tables();

}  // namespace rekey::auth::kept
