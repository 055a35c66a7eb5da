// {{identity....}} in a rule's path. Pure; any thread.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.h"

namespace rekey::policy {

// Literal text, or what stands between {{ and }}, trimmed. Views into the text.
struct TemplatePiece {
  std::string_view text;
  bool is_template = false;
};
// Nothing where {{ and }} don't pair.
std::optional<std::vector<TemplatePiece>> cut_template(std::string_view text);
// Whether what stands between {{ and }} could ever be filled in.
bool is_template_name(std::string_view name);
// The value of it; null where there is none.
const std::string* template_value(std::string_view name, const TemplateContext& context);

// Are all {{ }} of the path paired?
bool template_balanced(std::string_view path);
bool has_template(std::string_view path);

// The first {{...}} that names nothing that could ever be filled in, or nothing.
std::string unknown_template(std::string_view path);

// The path with every template filled in, or why it can't be: the rule then never matches. A value
// is literal text: one that is empty, or that would add a wildcard to the path, is refused, since
// it would let whoever names an entity widen a policy. (Vault 1.14 puts it in as it is; OpenBao
// refuses it too, and a slash as well, which is taken here: Kubernetes' alias names and AWS' ARNs
// hold one.)
std::expected<std::string, std::string> fill_in(std::string_view path,
                                                const TemplateContext* context);

}  // namespace rekey::policy
