// From a policy's text to its rules.
#include <algorithm>
#include <cstdlib>

#include "hcl/hcl.h"
#include "policy/policy.h"
#include "policy/template.h"

namespace rekey::policy {

using base::ErrorKind;
using base::fail;
using base::forward;
using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;

namespace {

std::unexpected<base::Error> fail_parse(const std::string& what) {
  return fail(ErrorKind::kInvalid, "failed to parse policy: " + what);
}

// Every error below a `path` begins like this, as Vault's.
std::string in_path(std::string_view path) { return "path \"" + std::string(path) + "\": "; }

std::string on_line(hcl::Place place) { return " on line " + std::to_string(place.line); }

// Vault's way of listing keys that it doesn't know; empty where all are known.
std::string unknown_keys(const std::vector<hcl::Item>& items,
                         std::initializer_list<std::string_view> known) {
  std::string lines;
  size_t count = 0;
  for (const hcl::Item& item : items) {
    if (std::find(known.begin(), known.end(), item.key()) != known.end()) continue;
    lines += "\t* invalid key \"" + item.key() + "\"" + on_line(item.place) + "\n";
    count++;
  }
  if (count == 0) return {};
  return std::to_string(count) + (count == 1 ? " error" : " errors") + " occurred:\n" + lines +
         "\n";
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

Json to_json(const hcl::Value& value) {
  if (const bool* flag = value.as_bool()) return Json(*flag);
  if (const std::string* text = value.as_string()) return Json(*text);
  if (const hcl::Number* number = value.as_number()) {
    // HCL's numbers are JSON's, apart from 0x1F and leading zeros.
    auto parsed = Json::parse(number->text);
    return parsed ? std::move(*parsed)
                  : Json(static_cast<int64_t>(std::strtoll(number->text.c_str(), nullptr, 0)));
  }
  if (const hcl::List* list = value.as_list()) {
    JsonArray out;
    for (const hcl::Value& element : *list) out.push_back(to_json(element));
    return Json(std::move(out));
  }
  JsonObject out;
  for (const hcl::Item& item : value.as_object()->items) out.set(item.key(), to_json(item.value));
  return Json(std::move(out));
}

// Reads one `path` block into a Rule.
class BlockReader {
 public:
  BlockReader(const hcl::Item& block, std::vector<std::string>& warnings)
      : block_(block), written_(block.keys[1]), warnings_(warnings) {}

  Result<Rule> read() {
    rule_.line = block_.place.line;
    if (auto path = read_path(); !path) return forward(path);
    if (auto keys = check_keys(); !keys) return forward(keys);
    for (const hcl::Item& item : block_.value.as_object()->items) {
      if (auto member = read_member(item); !member) return forward(member);
    }
    if (rule_.max_wrapping_ttl.count() > 0 && rule_.max_wrapping_ttl < rule_.min_wrapping_ttl) {
      return fail_here("max_wrapping_ttl cannot be less than min_wrapping_ttl");
    }
    // Deny is alone: nothing beside it means anything.
    if (denied_) {
      rule_.capabilities = {Capability::kDeny};
      rule_.allowed_parameters.clear();
      rule_.denied_parameters.clear();
      rule_.required_parameters.clear();
      rule_.min_wrapping_ttl = rule_.max_wrapping_ttl = {};
    } else if (rule_.capabilities.empty()) {
      warn("it grants no capability, so it denies");
    }
    return std::move(rule_);
  }

 private:
  std::unexpected<base::Error> fail_here(const std::string& what) const {
    return fail_parse(in_path(written_) + what);
  }
  std::unexpected<base::Error> fail_type(const hcl::Item& item, std::string_view wanted) const {
    return fail_here(item.key() + on_line(item.place) + " must be " + std::string(wanted) +
                     ", not " + std::string(item.value.type_name()));
  }
  void warn(const std::string& what) const {
    warnings_.push_back("line " + std::to_string(rule_.line) + ": " + in_path(written_) + what);
  }

  Result<void> read_path() {
    std::string_view path = written_;
    if (path.size() > kPolicyPathBytesMax) {
      return fail_parse("a path of more than " + std::to_string(kPolicyPathBytesMax) + " bytes" +
                        on_line(block_.place));
    }
    if (!template_balanced(path)) {
      return fail_here("failed to validate policy templating: unbalanced templating characters");
    }
    if (path.starts_with('/')) path.remove_prefix(1);
    if (path.find("+*") != path.npos) {
      return fail_here("invalid use of wildcards ('+*' is forbidden)");
    }
    rule_.path = path;
    rule_.templated = has_template(path);
    warn_of_path();
    return {};
  }

  // What is taken as it stands, as Vault does, but is hardly meant.
  void warn_of_path() const {
    const std::string_view path = rule_.path;
    if (path.empty()) warn("an empty path matches nothing");
    if (path.starts_with('/')) warn("a path that begins with // matches nothing");
    if (path.substr(0, path.size() - (path.empty() ? 0 : 1)).find('*') != path.npos) {
      warn("a * that is not the last character stands for itself");
    }
    for (size_t at = path.find('+'); at != path.npos; at = path.find('+', at + 1)) {
      const bool begins = at == 0 || path[at - 1] == '/';
      const bool ends = at + 1 == path.size() || path[at + 1] == '/';
      if (!begins || !ends) {
        warn("a + that is not a whole segment stands for itself");
        break;
      }
    }
    if (const std::string unknown = unknown_template(path); !unknown.empty()) {
      warn("{{" + unknown + "}} is nothing that a template can name, so the path never matches");
    }
  }

  Result<void> check_keys() const {
    if (block_.keys.size() > 2) return fail_here("a path has one label");
    const hcl::Object* object = block_.value.as_object();
    if (!object) return fail_here("must be a block, not " + std::string(block_.value.type_name()));
    for (const hcl::Item& item : object->items) {
      // Vault's free edition reads these two and doesn't act on them. Granting what the author made
      // conditional is worse than a refusal.
      if (item.key() == "mfa_methods" || item.key() == "control_group") {
        return fail_here(item.key() + on_line(item.place) +
                         " is not supported, and leaving it out would grant more than is written");
      }
    }
    const std::string unknown =
        unknown_keys(object->items, {"comment", "policy", "capabilities", "allowed_parameters",
                                     "denied_parameters", "required_parameters", "min_wrapping_ttl",
                                     "max_wrapping_ttl"});
    if (!unknown.empty()) return fail_here(unknown);
    return {};
  }

  Result<void> read_member(const hcl::Item& item) {
    const std::string& key = item.key();
    if (key == "policy") return read_old_form(item);
    if (key == "capabilities") return read_capabilities(item);
    if (key == "allowed_parameters") return read_parameters(item, rule_.allowed_parameters);
    if (key == "denied_parameters") return read_parameters(item, rule_.denied_parameters);
    if (key == "required_parameters") return read_required(item);
    if (key == "min_wrapping_ttl") return read_ttl(item, rule_.min_wrapping_ttl);
    if (key == "max_wrapping_ttl") return read_ttl(item, rule_.max_wrapping_ttl);
    return {};  // comment
  }

  // policy = "read": how capabilities were written before Vault 0.5.
  Result<void> read_old_form(const hcl::Item& item) {
    using enum Capability;
    const std::string* word = item.value.as_string();
    if (!word) return fail_type(item, "a string");
    if (word->empty()) return {};
    if (*word == "deny") {
      denied_ = true;
    } else if (*word == "read") {
      rule_.capabilities.add({kRead, kList});
    } else if (*word == "write") {
      rule_.capabilities.add({kCreate, kRead, kUpdate, kDelete, kList});
    } else if (*word == "sudo") {
      rule_.capabilities.add({kCreate, kRead, kUpdate, kDelete, kList, kSudo});
    } else {
      return fail_here("invalid policy \"" + *word + "\"");
    }
    return {};
  }

  Result<void> read_capabilities(const hcl::Item& item) {
    auto names = read_strings(item);
    if (!names) return forward(names);
    for (const std::string& name : *names) {
      const auto capability = parse_capability(name);
      if (!capability) return fail_here("invalid capability \"" + name + "\"");
      if (*capability == Capability::kDeny) denied_ = true;
      rule_.capabilities.add(*capability);
    }
    return {};
  }

  Result<void> read_required(const hcl::Item& item) {
    auto names = read_strings(item);
    if (!names) return forward(names);
    for (const std::string& name : *names) rule_.required_parameters.push_back(lower(name));
    return {};
  }

  Result<std::vector<std::string>> read_strings(const hcl::Item& item) const {
    const hcl::List* list = item.value.as_list();
    if (!list) return fail_type(item, "a list of strings");
    std::vector<std::string> out;
    for (const hcl::Value& element : *list) {
      if (!element.as_string()) return fail_type(item, "a list of strings only");
      out.push_back(*element.as_string());
    }
    return out;
  }

  Result<void> read_parameters(const hcl::Item& item, ParameterLists& out) const {
    const hcl::Object* object = item.value.as_object();
    if (!object || item.keys.size() > 1) return fail_type(item, "a block of name = [values]");
    for (const hcl::Item& member : object->items) {
      const hcl::List* list = member.value.as_list();
      if (!list) return fail_type(member, "a list of values, where [] means any value");
      std::vector<Json>& values = out[lower(member.key())];
      for (const hcl::Value& value : *list) values.push_back(to_json(value));
    }
    return {};
  }

  Result<void> read_ttl(const hcl::Item& item, base::Duration& out) const {
    std::string_view text;
    if (item.value.as_string()) text = *item.value.as_string();
    if (item.value.as_number()) text = item.value.as_number()->text;
    const auto parsed = base::parse_duration(text);
    if (!parsed || text.empty() || parsed->count() < 0) {
      return fail_here("error parsing " + item.key() + on_line(item.place) +
                       ": expected a duration such as \"30s\" or \"1h30m\"");
    }
    out = *parsed;
    return {};
  }

  const hcl::Item& block_;
  const std::string& written_;
  std::vector<std::string>& warnings_;
  Rule rule_;
  bool denied_ = false;
};

}  // namespace

Result<Policy> parse_policy(std::string name, std::string_view text) {
  std::vector<std::string> warnings;
  return parse_policy(std::move(name), text, warnings);
}

Result<Policy> parse_policy(std::string name, std::string_view text,
                            std::vector<std::string>& warnings) {
  Policy policy{.name = std::move(name), .text = std::string(text)};
  if (policy.name == "root") {
    policy.root = true;
    return policy;
  }
  if (text.size() > kPolicyTextBytesMax) {
    return fail(ErrorKind::kTooLarge, "failed to parse policy: larger than " +
                                          std::to_string(kPolicyTextBytesMax) + " bytes");
  }
  auto document = hcl::parse(text);
  if (!document) return fail_parse(document.error().message());
  if (const auto unknown = unknown_keys(document->items, {"name", "path"}); !unknown.empty()) {
    return fail_parse(unknown);
  }
  for (const hcl::Item& item : hcl::labelled(*document, "path")) {
    if (item.key() != "path") continue;
    if (item.keys.size() < 2) {
      return fail_parse("path" + on_line(item.place) +
                        " must be a block: path \"secret/*\" { ... }");
    }
    if (policy.rules.size() >= kPolicyRulesMax) {
      return fail(ErrorKind::kTooLarge, "failed to parse policy: more than " +
                                            std::to_string(kPolicyRulesMax) + " paths");
    }
    auto rule = BlockReader(item, warnings).read();
    if (!rule) return forward(rule);
    policy.templated |= rule->templated;
    policy.rules.push_back(std::move(*rule));
  }
  return policy;
}

}  // namespace rekey::policy
