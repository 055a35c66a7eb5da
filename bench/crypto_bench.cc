// rooms: crypto barrier
// The cryptography of one read: a row opened, values hashed for the record. With threads, because a
// keyring is shared by all io threads.
#include <benchmark/benchmark.h>

#include <string>

#include "barrier/keyring.h"
#include "base/random.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/ed25519.h"

namespace {

namespace barrier = rekey::barrier;
namespace base = rekey::base;
namespace crypto = rekey::crypto;

constexpr std::string_view kNonce = "123456789012";

void aead_open(benchmark::State& state) {
  static const crypto::Aead aead{base::SecretBytes(crypto::kAeadKeyBytes)};
  const std::string plaintext(static_cast<size_t>(state.range(0)), 'p');
  std::string sealed;
  aead.seal(kNonce, "12345", "logical/kv/data/path", plaintext, sealed);
  std::string out;
  out.reserve(plaintext.size());
  for (auto _ : state) {
    out.clear();
    if (!aead.open(kNonce, "12345", "logical/kv/data/path", sealed, out)) std::abort();
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(aead_open)->Arg(30)->Arg(300)->Arg(4096);
BENCHMARK(aead_open)->Arg(300)->Threads(2);

void aead_seal(benchmark::State& state) {
  const crypto::Aead aead{base::SecretBytes(crypto::kAeadKeyBytes)};
  const std::string plaintext(static_cast<size_t>(state.range(0)), 'p');
  std::string out;
  out.reserve(plaintext.size() + crypto::kAeadTagBytes);
  for (auto _ : state) {
    out.clear();
    aead.seal(kNonce, "12345", "logical/kv/data/path", plaintext, out);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(aead_seal)->Arg(300);

void keyring_decrypt(benchmark::State& state) {
  base::SystemRandom random;
  const auto keyring = barrier::Keyring::generate(random, base::WallTime());
  keyring->extend_reserve(1);
  const std::string stored =
      *keyring->encrypt("logical/kv/data/path", std::string(300, 'p'), random);
  for (auto _ : state) {
    benchmark::DoNotOptimize(keyring->decrypt("logical/kv/data/path", stored));
  }
}
BENCHMARK(keyring_decrypt);

void keyring_encrypt(benchmark::State& state) {
  base::SystemRandom random;
  const auto keyring = barrier::Keyring::generate(random, base::WallTime());
  keyring->extend_reserve(barrier::kTermEncryptionsMax);
  const std::string plaintext(300, 'p');
  for (auto _ : state) {
    benchmark::DoNotOptimize(keyring->encrypt("logical/kv/data/path", plaintext, random));
  }
}
BENCHMARK(keyring_encrypt);

void hmac_30_bytes(benchmark::State& state) {
  const crypto::HmacSha256 hmac{base::SecretBytes(32)};
  for (auto _ : state) benchmark::DoNotOptimize(hmac.mac("thirty bytes of a secret value"));
}
BENCHMARK(hmac_30_bytes);

void sha256_600_bytes(benchmark::State& state) {
  const std::string record(600, 'r');
  for (auto _ : state) benchmark::DoNotOptimize(crypto::sha256(record));
}
BENCHMARK(sha256_600_bytes);

void ed25519_sign(benchmark::State& state) {
  base::SystemRandom random;
  const auto key = crypto::Ed25519PrivateKey::generate(random);
  for (auto _ : state) benchmark::DoNotOptimize(key.sign("checkpoint"));
}
BENCHMARK(ed25519_sign);

}  // namespace
