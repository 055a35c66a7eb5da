// A request that is being answered, for sys/in-flight-req. A value.
#pragma once

#include <string>

#include "base/clock.h"

namespace rekey::pipeline {

struct RequestInFlight {
  std::string id;
  std::string remote_address;  // "192.0.2.1:40000"
  std::string path, method;    // as sent
  base::WallTime started{};
};

}  // namespace rekey::pipeline
