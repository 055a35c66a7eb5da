// How a mount looks in answers: sys/mounts, sys/auth, tune, internal/ui/mounts.
#pragma once

#include "base/json.h"
#include "logical/context.h"

namespace rekey::system {

// "secret" and "/secret/" are "secret/"; under auth/ for an auth method.
std::string mount_path(std::string_view given, bool auth);
// One of those that a server always has.
bool is_built_in(const logical::Mount& mount);

base::JsonObject describe_mount(const logical::Mount& mount);
// What tune shows; TTLs are the ones in force.
base::JsonObject describe_tune(const logical::Mount& mount, const logical::Limits& limits);

}  // namespace rekey::system
