// Settings of a whole cert mount: auth/cert/config.
#pragma once

#include "logical/context.h"

namespace rekey::auth::cert {

struct Config {
  bool disable_binding = false;  // a renewal doesn't look at the certificate again
  bool enable_identity_alias_metadata = false;
  int64_t ocsp_cache_size = 100;  // kept
};

base::Result<Config> read_config(logical::Context& context);

}  // namespace rekey::auth::cert
