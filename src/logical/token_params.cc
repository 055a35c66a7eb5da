#include "logical/token_params.h"

#include <algorithm>
#include <set>

#include "base/codec.h"
#include "logical/answer.h"
#include "logical/cidr.h"
#include "logical/row.h"

namespace rekey::logical {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;

// Takes fields by their present name or an older one, and keeps account of which it was.
class Reader {
 public:
  Reader(const Fields& fields, std::span<const OlderName> older, TokenParams& params)
      : fields_(fields), older_(older), params_(params) {}

  // The name under which `present` was sent; empty where it wasn't.
  std::string_view sent(std::string_view present) {
    for (const OlderName& name : older_) {
      if (name.present != present) continue;
      auto& used = params_.older_names;
      const auto at =
          std::ranges::find(used, name.older, &std::pair<std::string, std::string>::first);
      if (fields_.has(present)) {
        if (at != used.end()) used.erase(at);
      } else if (fields_.has(name.older)) {
        if (at == used.end()) used.emplace_back(name.older, name.present);
        return name.older;
      }
    }
    return fields_.has(present) ? present : std::string_view();
  }

  Result<void> duration(std::string_view present, int64_t& into) {
    const std::string_view name = sent(present);
    if (name.empty()) return {};
    auto value = seconds_of(fields_, name);
    if (!value) return forward(value);
    into = value->value_or(into);
    return {};
  }

 private:
  const Fields& fields_;
  std::span<const OlderName> older_;
  TokenParams& params_;
};

Result<void> check(const TokenParams& params) {
  if (params.kind == TokenKind::kBatch || params.kind == TokenKind::kDefaultBatch) {
    if (params.period_s != 0) {
      return bad_request(
          "'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens");
    }
    if (params.num_uses != 0) {
      return bad_request(
          "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with "
          "limited use count");
    }
  }
  if (params.ttl_s > 0 && params.max_ttl_s > 0 && params.ttl_s > params.max_ttl_s) {
    return bad_request("'token_ttl' cannot be greater than 'token_max_ttl'");
  }
  if (params.num_uses < 0) {
    return bad_request("'token_num_uses' cannot be negative");
  }
  return {};
}

}  // namespace

const std::vector<Field>& token_fields() {
  static const std::vector<Field> fields = {
      {"token_bound_cidrs", FieldType::kStrings, "Addresses that may use its tokens."},
      {"token_explicit_max_ttl", FieldType::kDuration, "The end, whatever is renewed."},
      {"token_max_ttl", FieldType::kDuration, "How long its tokens live with all renewals."},
      {"token_no_default_policy", FieldType::kBoolean, "Without the default policy."},
      {"token_num_uses", FieldType::kInteger, "Requests that a token is good for; 0: any number."},
      {"token_period", FieldType::kDuration, "Its tokens live as long as they are renewed."},
      {"token_policies", FieldType::kStrings, "Policies of its tokens."},
      {"token_ttl", FieldType::kDuration, "How long its tokens live at first."},
      {"token_type", FieldType::kString, "service, batch, default-service or default-batch."}};
  return fields;
}

std::vector<Field> older_fields(std::span<const OlderName> older) {
  std::vector<Field> out;
  for (const OlderName& name : older) {
    const auto present = std::ranges::find(token_fields(), name.present, &Field::name);
    if (present == token_fields().end()) continue;
    out.push_back({name.older, present->type, "An older name of a token_ field."});
  }
  return out;
}

std::vector<Field> with_token_fields(std::vector<Field> own, std::span<const OlderName> older) {
  for (const Field& field : token_fields()) own.push_back(field);
  for (const Field& field : older_fields(older)) own.push_back(field);
  return own;
}

Result<void> read_token_params(const Fields& fields, std::span<const OlderName> older,
                               TokenParams& params) {
  Reader reader(fields, older, params);
  if (const auto name = reader.sent("token_bound_cidrs"); !name.empty()) {
    params.bound_cidrs.clear();
    for (const std::string& text : fields.strings(name)) {
      auto cidr = parse_cidr(text);
      if (!cidr)
        return bad_request("error parsing address \"" + text + "\": Unable to convert \"" + text +
                           "\" to an IPv4 or IPv6 address, or a UNIX Socket");
      params.bound_cidrs.push_back(std::move(*cidr));
    }
  }
  const std::pair<std::string_view, int64_t*> durations[] = {
      {"token_explicit_max_ttl", &params.explicit_max_ttl_s},
      {"token_max_ttl", &params.max_ttl_s},
      {"token_period", &params.period_s},
      {"token_ttl", &params.ttl_s}};
  for (const auto& [name, into] : durations) {
    auto taken = reader.duration(name, *into);
    if (!taken) return taken;
  }
  params.no_default_policy = fields.flag("token_no_default_policy", params.no_default_policy);
  if (const auto name = reader.sent("token_policies"); !name.empty()) {
    // As they are written; an older name's were cleaned, and still are.
    params.policies = fields.strings(name);
    if (name != "token_policies") params.policies = clean_policies(std::move(params.policies));
    std::erase(params.policies, "");
  }
  if (const auto name = reader.sent("token_num_uses"); !name.empty()) {
    params.num_uses = fields.integer(name, params.num_uses);
  }
  if (const auto name = reader.sent("token_type"); !name.empty()) {
    const std::string_view text = fields.text(name);
    if (!parse_token_kind(text, params.kind)) {
      return bad_request("invalid 'token_type' value \"" + std::string(text) + "\"");
    }
  }
  return check(params);
}

void describe_token_params(const TokenParams& params, JsonObject& into) {
  into.set("token_bound_cidrs", Json::strings(params.bound_cidrs));
  into.set("token_explicit_max_ttl", params.explicit_max_ttl_s);
  into.set("token_max_ttl", params.max_ttl_s);
  into.set("token_no_default_policy", params.no_default_policy);
  into.set("token_num_uses", params.num_uses);
  into.set("token_period", params.period_s);
  into.set("token_policies", Json::strings(params.policies));
  into.set("token_ttl", params.ttl_s);
  into.set("token_type", token_kind_name(params.kind));
  for (const auto& [older, name] : params.older_names) {
    const Json* present = into.find(name);
    if (present == nullptr) continue;
    Json copy = *present;
    into.set(older, std::move(copy));
  }
}

void store_token_params(const TokenParams& params, JsonObject& row) {
  TokenParams present = params;
  present.older_names.clear();
  describe_token_params(present, row);
  if (!params.older_names.empty()) row.set("older_names", object_of(params.older_names));
}

TokenParams parse_token_params(const Json& row) {
  TokenParams params;
  params.bound_cidrs = strings_at(row, "token_bound_cidrs");
  params.explicit_max_ttl_s = int_at(row, "token_explicit_max_ttl");
  params.max_ttl_s = int_at(row, "token_max_ttl");
  params.no_default_policy = flag_at(row, "token_no_default_policy");
  params.num_uses = int_at(row, "token_num_uses");
  params.period_s = int_at(row, "token_period");
  params.policies = strings_at(row, "token_policies");
  params.ttl_s = int_at(row, "token_ttl");
  parse_token_kind(row.string_or("token_type", ""), params.kind);
  params.older_names = pairs_at(row, "older_names");
  return params;
}

Result<std::optional<int64_t>> seconds_of(const Fields& fields, std::string_view name) {
  const auto value = fields.duration(name);
  if (!value) return std::nullopt;
  const int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(*value).count();
  if (seconds >= 0) return seconds;
  return bad_request("error converting input for field \"" + std::string(name) +
                     "\": cannot provide negative value '" + std::to_string(seconds) + "'");
}

std::string_view token_kind_name(TokenKind kind) {
  switch (kind) {
    case TokenKind::kDefault:
      return "default";
    case TokenKind::kDefaultService:
      return "default-service";
    case TokenKind::kDefaultBatch:
      return "default-batch";
    case TokenKind::kService:
      return "service";
    case TokenKind::kBatch:
      return "batch";
  }
  return "default";
}

bool parse_token_kind(std::string_view text, TokenKind& kind) {
  if (text.empty()) text = "default";
  for (const TokenKind known : {TokenKind::kDefault, TokenKind::kDefaultService,
                                TokenKind::kDefaultBatch, TokenKind::kService, TokenKind::kBatch}) {
    if (text != token_kind_name(known)) continue;
    kind = known;
    return true;
  }
  return false;
}

std::vector<std::string> clean_policies(std::vector<std::string> names) {
  std::set<std::string> unique;
  for (std::string& name : names) {
    name = base::to_lower(name);
    const size_t first = name.find_first_not_of(" \t\n");
    if (first == std::string::npos) continue;
    name = name.substr(first, name.find_last_not_of(" \t\n") - first + 1);
    unique.insert(std::move(name));
  }
  return {unique.begin(), unique.end()};
}

}  // namespace rekey::logical
