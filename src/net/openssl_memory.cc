#include <malloc.h>
#include <openssl/crypto.h>
#include <string.h>

#include <cstdlib>

#include "net/server.h"

namespace rekey::net {
namespace {

void* wiping_malloc(size_t size, const char*, int) { return std::malloc(size); }

void wiping_free(void* block, const char*, int) {
  if (block == nullptr) return;
  explicit_bzero(block, malloc_usable_size(block));
  std::free(block);
}

void* wiping_realloc(void* block, size_t size, const char*, int) {
  if (block == nullptr) return std::malloc(size);
  if (size == 0) {
    wiping_free(block, nullptr, 0);
    return nullptr;
  }
  const size_t old_size = malloc_usable_size(block);
  if (size <= old_size && size >= old_size / 2) return block;
  void* fresh = std::malloc(size);
  if (fresh == nullptr) return nullptr;
  memcpy(fresh, block, old_size < size ? old_size : size);
  wiping_free(block, nullptr, 0);
  return fresh;
}

}  // namespace

bool use_wiping_openssl_memory() {
  return CRYPTO_set_mem_functions(wiping_malloc, wiping_realloc, wiping_free) == 1;
}

}  // namespace rekey::net
