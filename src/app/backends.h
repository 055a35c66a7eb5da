// The catalog of backends: which type of mount is served by which engine or auth method. With
// instance.cc the only place that names them.
#pragma once

#include <memory>

#include "net/outgoing.h"
#include "pipeline/keeper.h"
#include "system/system_backend.h"

namespace rekey::app {

// `catalog` must outlive what it makes, and so must everything in `parts`. `outgoing` is the way to
// outside HTTP servers.
void add_backends(pipeline::Catalog& catalog, system::SystemParts parts,
                  std::shared_ptr<const net::Outgoing> outgoing);

}  // namespace rekey::app
