// sys/policies/acl, sys/policy.
#include <algorithm>

#include "base/codec.h"
#include "logical/answer.h"
#include "pipeline/call_context.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

std::vector<std::string> names(const CallContext& context) {
  std::vector<std::string> out;
  for (const auto& [name, policy] : *context.state->policies) {
    if (name != "response-wrapping") out.push_back(name);
  }
  return out;
}

Result<Response> list(Context& context, bool old_form) {
  const auto all = names(CallContext::of(context));
  JsonObject data{{"keys", Json::strings(all)}};
  if (old_form) data.set("policies", Json::strings(all));
  return logical::with_data(std::move(data));
}

Result<Response> read(Context& context, bool old_form) {
  const std::string name = base::to_lower(context.fields.text("name"));
  const auto& policies = *CallContext::of(context).state->policies;
  const auto found = policies.find(name);
  if (found == policies.end()) return logical::nothing_there();
  JsonObject data{{"name", name}};
  data.set(old_form ? "rules" : "policy", found->second->text);
  return logical::with_data(std::move(data));
}

Result<Response> write(Context& context, pipeline::Keeper& keeper) {
  const std::string name = base::to_lower(context.fields.text("name"));
  if (name == "root") return logical::bad_request("cannot update \"root\" policy");
  if (name == "response-wrapping" || name == "control-group") {
    return logical::bad_request("cannot update \"" + name + "\" policy");
  }
  if (name.ends_with('/')) {
    return logical::bad_request("cannot write to a path ending in '/'");
  }
  std::string text(context.fields.text("policy"));
  std::vector<std::string> warnings;
  if (text.empty()) {
    text = context.fields.text("rules");
    if (!text.empty()) {
      warnings.push_back("'rules' is deprecated, please use 'policy' instead");
    }
  }
  if (text.empty()) return logical::bad_request("'policy' parameter not supplied or empty");
  // Some clients send it in base64; no policy in HCL or JSON is base64 by accident.
  if (auto decoded = base::base64_decode(text)) text = std::move(*decoded);
  auto parsed = policy::parse_policy(name, text, warnings);
  if (!parsed) return forward(parsed);
  CallContext& call = CallContext::of(context);
  call.txn->put(std::string(pipeline::kPolicyPrefix) + name, std::move(text));
  context.after_commit.push_back([&keeper, name] { return keeper.reload_policy(name); });
  Response response;
  response.warnings = std::move(warnings);
  return response;
}

Result<Response> erase(Context& context, pipeline::Keeper& keeper) {
  const std::string name = base::to_lower(context.fields.text("name"));
  if (name == "root" || name == "default" || name == "response-wrapping") {
    return logical::bad_request("cannot delete \"" + name + "\" policy");
  }
  CallContext::of(context).txn->erase(std::string(pipeline::kPolicyPrefix) + name);
  context.after_commit.push_back([&keeper, name] { return keeper.reload_policy(name); });
  return Response{};
}

}  // namespace

void SystemBackend::add_policy_routes() {
  pipeline::Keeper& keeper = parts_.keeper;
  const auto writes = [&keeper](Context& context) { return write(context, keeper); };
  const auto erases = [&keeper](Context& context) { return erase(context, keeper); };
  for (const bool old_form : {false, true}) {
    const std::string folder = old_form ? "policy" : "policies/acl";
    logical::Route lists{
        .pattern = folder,
        .handlers = {{Operation::kList, [old_form](Context& c) { return list(c, old_form); }}},
        .synopsis = "Lists the ACL policies."};
    if (old_form) lists.handlers.emplace_back(Operation::kRead, lists.handlers[0].second);
    routes_.add(std::move(lists));
    routes_.add(
        {.pattern = folder + "/{name*}",  // "team/app" is a name
         .fields = {{"policy", FieldType::kString, "The policy, in HCL or JSON."},
                    {"rules", FieldType::kString, "Older name of policy."}},
         .handlers = {{Operation::kRead, [old_form](Context& c) { return read(c, old_form); }},
                      {Operation::kUpdate, writes},
                      {Operation::kDelete, erases}},
         .synopsis = "An ACL policy: which paths a token may use, and how."});
  }
}

}  // namespace rekey::system
