// How a mount looks in answers: sys/mounts, sys/auth, tune, internal/ui/mounts.
#pragma once

#include "base/json.h"
#include "logical/context.h"

namespace rekey::system {

base::JsonObject describe_mount(const logical::Mount& mount);
// What tune shows; TTLs are the ones in force.
base::JsonObject describe_tune(const logical::Mount& mount, const logical::Limits& limits);

}  // namespace rekey::system
