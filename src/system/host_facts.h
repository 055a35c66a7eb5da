// What the machine says of itself, for sys/host-info: the names and units of Vault, which has them
// from gopsutil. Reads /proc and asks the kernel; what a sandbox hides is left out.
#pragma once

#include "base/clock.h"
#include "base/json.h"

namespace rekey::system {

base::JsonObject host_facts(base::WallTime now);

}  // namespace rekey::system
