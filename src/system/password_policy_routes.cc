// sys/policies/password: how passwords that engines make must look.
#include "base/codec.h"
#include "logical/answer.h"
#include "pipeline/call_context.h"
#include "policy/password_policy.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::ErrorKind;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

constexpr size_t kPasswordPolicyNameBytesMax = 256;

std::string row_of(const Context& context) {
  return std::string(kPasswordPolicyPrefix) + std::string(context.fields.text("name"));
}

Result<Response> list(Context& context) {
  auto page = logical::read_page(context.fields);
  if (!page) return forward(page);
  auto names = CallContext::of(context).txn->list(std::string(kPasswordPolicyPrefix), page->after,
                                                  page->limit);
  if (!names) return forward(names);
  return logical::with_keys(*names);
}

Result<std::string> stored(Context& context) {
  auto row = CallContext::of(context).txn->get(row_of(context));
  if (!row) return forward(row);
  if (!*row) return base::fail(ErrorKind::kNotFound, logical::listed("policy does not exist"));
  return std::move(**row);
}

Result<Response> read(Context& context) {
  auto text = stored(context);
  if (!text) return forward(text);
  return logical::with_data({{"policy", *text}});
}

Result<Response> write(Context& context) {
  if (context.fields.text("name").size() > kPasswordPolicyNameBytesMax) {
    return logical::bad_request("the policy's name is too long");
  }
  std::string text(context.fields.text("policy"));
  if (text.empty()) return logical::bad_request(logical::listed("missing policy"));
  // Some clients send it in base64; no policy is base64 by accident.
  if (auto decoded = base::base64_decode(text)) text = std::move(*decoded);
  auto policy = policy::PasswordPolicy::parse(text);
  if (!policy) return forward(policy);
  auto sample = policy->generate(context.random);  // one that never makes any is of no use
  if (!sample) return forward(sample);
  CallContext::of(context).txn->put(row_of(context), std::move(text));
  return Response{};
}

Result<Response> erase(Context& context) {
  CallContext::of(context).txn->erase(row_of(context));
  return Response{};
}

Result<Response> generate(Context& context) {
  auto text = stored(context);
  if (!text) return forward(text);
  auto policy = policy::PasswordPolicy::parse(*text);
  if (!policy) return forward(policy);
  auto password = policy->generate(context.random);
  if (!password) return forward(password);
  return logical::with_data({{"password", std::move(*password)}});
}

}  // namespace

void SystemBackend::add_password_policy_routes() {
  routes_.add({.pattern = "policies/password",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list}},
               .synopsis = "Lists the password policies."});
  routes_.add({.pattern = "policies/password/{name}",
               .fields = {{"policy", FieldType::kString, "The policy, in HCL or JSON."}},
               .handlers = {{Operation::kRead, read},
                            {Operation::kUpdate, write},
                            {Operation::kDelete, erase}},
               .synopsis = "A password policy: length and characters of passwords."});
  routes_.add({.pattern = "policies/password/{name}/generate",
               .handlers = {{Operation::kRead, generate}},
               .synopsis = "A password made by the policy; kept nowhere."});
}

}  // namespace rekey::system
