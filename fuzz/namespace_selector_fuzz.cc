// rooms: auth/kubernetes
// Any text as a role's selector of namespaces, JSON or YAML, and as the cluster's answer about one:
// what is read is bounded, and asking for nothing selects everything.
#include <cstdint>
#include <string_view>

#include "auth/kubernetes/review.h"
#include "auth/kubernetes/selector.h"

namespace kubernetes = rekey::auth::kubernetes;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)kubernetes::read_yaml(text);
  kubernetes::Labels labels{{"stage", "prod"}};
  if (const auto answered = kubernetes::read_labels(text, "shop")) labels = *answered;
  const auto selector = kubernetes::Selector::parse(text);
  if (selector) (void)selector->matches(labels);
  return 0;
}
