// rooms: config
// Any text as a configuration, alone and after another: reading ends, and what is accepted keeps to
// the bounds that app relies on.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "config/config.h"

using rekey::config::Listener;
using rekey::config::SealKind;
using rekey::config::Source;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Source sources[] = {{"a", "max_lease_ttl = \"1h\" storage \"inmem\" {}"}, {"b", text}};
  const auto config = rekey::config::parse(sources);
  if (!config) {
    REKEY_CHECK(config.error().message().starts_with("b"));
    return 0;
  }
  REKEY_CHECK(config->default_lease_ttl.count() > 0 && config->max_lease_ttl.count() > 0);
  REKEY_CHECK(config->io_threads <= rekey::config::kIoThreadsMax);
  REKEY_CHECK(config->seal.kind != SealKind::kStatic || config->seal.key_path.starts_with('/'));
  for (const Listener& listener : config->listeners) {
    REKEY_CHECK(listener.net.address.empty() != listener.net.unix_path.empty());
    REKEY_CHECK(listener.net.limits.body_bytes_max > 0 &&
                listener.net.limits.body_bytes_max <= rekey::config::kRequestBodyBytesMax);
    REKEY_CHECK(listener.net.timeouts.request.count() > 0);
  }
  return 0;
}
