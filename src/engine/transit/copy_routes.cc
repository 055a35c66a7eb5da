#include "engine/transit/transit.h"
namespace rekey::engine::transit {
void Engine::add_copy_routes() {}
void Engine::add_import_routes() {}
void Engine::add_sign_routes() {}
}  // namespace rekey::engine::transit
