// sys/capabilities*, sys/internal/ui/resultant-acl: what a token may do.
#include "logical/answer.h"
#include "pipeline/authenticate.h"
#include "pipeline/call_context.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

constexpr size_t kPathsMax = 1000;  // of one question

// Why: every rule that matches the path, the one that decides first. Asked for with `explain`, so
// that the answer is Vault's where nobody does.
Json explanation(const policy::Acl& acl, const std::string& path) {
  if (acl.root()) return JsonArray{Json(JsonObject{{"policy", "root"}, {"decides", true}})};
  JsonArray rules;
  for (const policy::Explanation::Match& match : acl.explain({.path = path}).matches) {
    JsonArray names;
    for (std::string_view name : match.capabilities.names()) names.emplace_back(name);
    rules.emplace_back(JsonObject{{"policy", match.policy},
                                  {"path", match.written},
                                  {"pattern", match.pattern},
                                  {"line", match.line},
                                  {"capabilities", std::move(names)},
                                  {"decides", match.decides},
                                  {"why", match.why}});
  }
  return rules;
}

Result<Response> answer(const Context& context, const policy::Acl& acl) {
  std::vector<std::string> paths = context.fields.strings("paths");
  if (paths.empty()) paths = context.fields.strings("path");
  if (paths.empty()) return logical::bad_request("paths must be supplied");
  if (paths.size() > kPathsMax) return logical::bad_request("too many paths");
  JsonObject data, rules;
  JsonArray last;
  for (const std::string& path : paths) {
    if (context.fields.flag("explain")) rules.set(path, explanation(acl, path));
    JsonArray names;
    if (acl.root()) {
      names.emplace_back("root");
    } else {
      for (std::string_view name : acl.capabilities(path).names()) names.emplace_back(name);
    }
    last = names;
    data.set(path, std::move(names));
  }
  if (paths.size() == 1) data.set("capabilities", std::move(last));
  if (!rules.empty()) data.set("rules", Json(std::move(rules)));
  return logical::with_data(std::move(data));
}

Result<Response> of_token(Context& context, std::string_view text) {
  CallContext& call = CallContext::of(context);
  if (text.empty()) return logical::bad_request("missing token");
  Result<identity::Token> token = base::fail(ErrorKind::kInvalid, "invalid token");
  if (text.starts_with(identity::kBatchPrefix)) {
    token = pipeline::open_batch_token(*call.state, text);
    if (token && !pipeline::check_parent(call.lane.reader(), *call.state, *token)) {
      return logical::bad_request(logical::listed("invalid token"));
    }
  } else {
    auto found = call.tokens().find(text);
    if (!found) return forward(found);
    if (*found) token = std::move(**found);
  }
  if (!token || token->expired(context.clock.wall()) || call.state->cutoffs->revokes(*token)) {
    return logical::bad_request(logical::listed("invalid token"));
  }
  auto rights = pipeline::rights_of(*call.state, *call.txn, *token);
  if (!rights) return logical::bad_request(logical::listed("invalid token"));
  return answer(context, *(*rights)->acl);
}

Result<Response> of_accessor(Context& context) {
  CallContext& call = CallContext::of(context);
  const std::string_view accessor = context.fields.text("accessor");
  if (accessor.empty()) return logical::bad_request("missing accessor");
  auto token = call.tokens().find_by_accessor(accessor);
  if (!token) return forward(token);
  if (!*token || call.state->cutoffs->revokes(**token)) {
    return logical::bad_request(logical::listed("invalid accessor"));
  }
  auto rights = pipeline::rights_of(*call.state, *call.txn, **token);
  if (!rights) return logical::bad_request(logical::listed("invalid accessor"));
  return answer(context, *(*rights)->acl);
}

Result<Response> resultant_acl(Context& context) {
  const CallContext& call = CallContext::of(context);
  JsonObject data{{"root", call.rights->acl->root()}};
  if (!call.rights->acl->root()) {
    JsonObject exact, globs;
    for (const policy::Acl::Effective& rule : call.rights->acl->effective()) {
      JsonArray names;
      for (std::string_view name : rule.capabilities.names()) names.emplace_back(name);
      JsonObject entry{{"capabilities", std::move(names)}};
      const bool glob = rule.prefix || rule.segments;
      (glob ? globs : exact).set(rule.pattern, std::move(entry));
    }
    data.set("exact_paths", std::move(exact));
    data.set("glob_paths", std::move(globs));
    data.set("chroot_namespace", "");
  }
  return logical::with_data(std::move(data));
}

}  // namespace

void SystemBackend::add_capability_routes() {
  const Field paths{"paths", FieldType::kStrings, "The paths in question."};
  const Field path{"path", FieldType::kStrings, "Older name of paths."};
  const Field explain{"explain", FieldType::kBoolean,
                      "Also answer `rules`: for each path the rules that match it, with the policy "
                      "and line of each and why it decides or doesn't."};
  routes_.add(
      {.pattern = "capabilities",
       .fields = {{"token", FieldType::kString, "The token in question."}, paths, path, explain},
       .handlers = {{Operation::kUpdate,
                     [](Context& context) {
                       return of_token(context, context.fields.text("token"));
                     }}},
       .synopsis = "What a token may do on paths."});
  routes_.add({.pattern = "capabilities-self",
               .fields = {paths, path, explain, {"token", FieldType::kString, "Ignored."}},
               .handlers = {{Operation::kUpdate,
                             [](Context& context) {
                               return answer(context, *CallContext::of(context).rights->acl);
                             }}},
               .synopsis = "What the token that asks may do on paths."});
  routes_.add(
      {.pattern = "capabilities-accessor",
       .fields = {{"accessor", FieldType::kString, "The token's accessor."}, paths, path, explain},
       .handlers = {{Operation::kUpdate, of_accessor}},
       .synopsis = "What the token with this accessor may do on paths."});
  routes_.add({.pattern = "internal/ui/resultant-acl",
               .handlers = {{Operation::kRead, resultant_acl}},
               .synopsis = "All that the token that asks may do."});
}

}  // namespace rekey::system
