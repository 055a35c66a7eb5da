// The listener stanzas. Only for this room.
#pragma once

#include "config/block.h"
#include "config/config.h"

namespace rekey::config {

// Reads `listener "tcp" { ... }` or `listener "unix" { ... }`. `request_default` is what
// default_max_request_duration says at the top, if it does.
base::Result<Listener> read_listener(const File& file, const hcl::Item& item,
                                     std::optional<base::Duration> request_default);

// Is it "host:port", "[::]:8200" or ":8200"? For addresses to listen on.
bool is_listen_address(std::string_view address);

}  // namespace rekey::config
