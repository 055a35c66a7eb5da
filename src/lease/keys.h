// The keys of the lease room's rows; see docs/formats/lease.md. For this room's own files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rekey::lease {

constexpr std::string_view kIdPrefix = "lease/id/";            // <lease id>
constexpr std::string_view kDuePrefix = "lease/due/";          // <time>/<lease id>
constexpr std::string_view kQueuePrefix = "lease/queue/";      // <mount uuid>:<target>/<time>/<id>
constexpr std::string_view kStuckPrefix = "lease/stuck/";      // <time>/<lease id>
constexpr std::string_view kByTokenPrefix = "lease/token/";    // <token id>/<lease id>
constexpr std::string_view kByEntityPrefix = "lease/entity/";  // <entity id>/<lease id>
constexpr std::string_view kJobPrefix = "lease/job/";          // <kind>:<argument>
constexpr std::string_view kPausedRow = "lease/paused";
// Leases that batch tokens without a parent hold stand under this name in the order of tokens.
constexpr std::string_view kNoToken = "none";
constexpr size_t kTimeChars = 16;

// Sixteen hex digits keep the order of time and stay readable.
std::string time_text(int64_t seconds);

}  // namespace rekey::lease
