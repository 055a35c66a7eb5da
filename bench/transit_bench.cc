// rooms: engine/transit
// What encryption costs in the engine, against the cipher alone as `openssl speed` drives it. The
// handler is called as the pipeline calls it, with a real store below; its time holds the look-up
// of the key, base64 both ways and the answer's text, but not JSON's parser, TLS and the record.
#include <benchmark/benchmark.h>

#include "base/check.h"
#include "base/codec.h"
#include "crypto/cipher.h"
#include "engine/transit/transit.h"
#include "logical/context.h"
#include "storage/memory_store.h"

namespace {

namespace barrier = rekey::barrier;
namespace base = rekey::base;
namespace crypto = rekey::crypto;
namespace engine = rekey::engine;
namespace logical = rekey::logical;
namespace storage = rekey::storage;

class Bench {
 public:
  Bench() {
    keyring_->extend_reserve(barrier::kEncryptionReserve);
    mount_.path = "transit/";
    mount_.uuid = "bench";
    call("keys/bench", base::JsonObject{}, true);
  }

  // One request; the answer's text.
  std::string call(std::string_view path, base::Json body, bool commit = false) {
    logical::Request request;
    request.operation = logical::Operation::kUpdate;
    request.path = path;
    request.data = std::move(body);
    return serve(request, path, commit);
  }
  std::string serve(const logical::Request& request, std::string_view path, bool commit = false) {
    const auto match = engine_.routes().match(path);
    const auto fields = logical::RouteTable::read_fields(match, request.data);
    barrier::Txn txn(*reader_, *keyring_, random_);
    barrier::View view(txn, mount_.storage_prefix());
    logical::Caller caller;
    logical::Context context{.request = request,
                             .fields = *fields,
                             .mount = mount_,
                             .caller = caller,
                             .storage = &view,
                             .clock = clock_,
                             .random = random_,
                             .lease_limits = {},
                             .server_limits = {},
                             .after_commit = {},
                             .decoded = &decoded_,
                             .may_block = true};
    auto response = (*match.route->handler(logical::Operation::kUpdate))(context);
    REKEY_CHECK(response.has_value());
    if (commit) {
      REKEY_CHECK(store_.commit_and_wait(*txn.take_batch()).has_value());
      REKEY_CHECK(reader_->refresh().has_value());
    }
    return std::move(response->data);
  }

 private:
  base::SystemRandom random_;
  base::SystemClock clock_;
  storage::MemoryStore store_;
  std::shared_ptr<const barrier::Keyring> keyring_ =
      barrier::Keyring::generate(random_, clock_.wall());
  std::unique_ptr<storage::Reader> reader_ = std::move(*store_.open_reader());
  engine::transit::Engine engine_;
  logical::Mount mount_;
  logical::DecodedRows decoded_;
};

void BM_CipherAlone(benchmark::State& state) {
  base::SystemRandom random;
  crypto::Cipher cipher(crypto::CipherKind::kAes256Gcm, random.secret(32));
  const std::string plaintext(static_cast<size_t>(state.range(0)), 'x');
  std::string out(plaintext.size() + crypto::kCipherTagBytes, '\0');
  for (auto _ : state) {
    cipher.seal("123456789012", {}, plaintext, out.data());
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void BM_Encrypt(benchmark::State& state) {
  Bench bench;
  logical::Request request;
  request.operation = logical::Operation::kUpdate;
  request.data = base::JsonObject{
      {"plaintext", base::base64_encode(std::string(static_cast<size_t>(state.range(0)), 'x'))}};
  for (auto _ : state) benchmark::DoNotOptimize(bench.serve(request, "encrypt/bench"));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void BM_EncryptBatchOf100(benchmark::State& state) {
  Bench bench;
  base::JsonArray items;
  for (int i = 0; i < 100; i++) {
    items.push_back(base::JsonObject{
        {"plaintext", base::base64_encode(std::string(static_cast<size_t>(state.range(0)), 'x'))}});
  }
  logical::Request request;
  request.operation = logical::Operation::kUpdate;
  request.data = base::JsonObject{{"batch_input", std::move(items)}};
  for (auto _ : state) benchmark::DoNotOptimize(bench.serve(request, "encrypt/bench"));
  state.SetBytesProcessed(state.iterations() * state.range(0) * 100);
}

void BM_Decrypt(benchmark::State& state) {
  Bench bench;
  const auto sealed = base::Json::parse(
      bench.call("encrypt/bench",
                 base::JsonObject{{"plaintext", base::base64_encode(std::string(1024, 'x'))}}));
  logical::Request request;
  request.operation = logical::Operation::kUpdate;
  request.data = base::JsonObject{{"ciphertext", sealed->string_or("ciphertext", "")}};
  for (auto _ : state) benchmark::DoNotOptimize(bench.serve(request, "decrypt/bench"));
}

void BM_Base64(benchmark::State& state) {
  const std::string bytes(1024, 'x');
  for (auto _ : state) {
    benchmark::DoNotOptimize(base::base64_decode(base::base64_encode(bytes)));
  }
  state.SetBytesProcessed(state.iterations() * 1024);
}

std::string batch_body(size_t bytes) {
  std::string body = R"({"batch_input":[)";
  for (int i = 0; i < 100; i++) {
    body +=
        (i > 0 ? "," : "") + (R"({"plaintext":")" + base::base64_encode(std::string(bytes, 'x')));
    body += R"("})";
  }
  return body + "]}";
}

// What reading the request alone costs.
void BM_ParseBatchOf100(benchmark::State& state) {
  const std::string body = batch_body(static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(base::Json::parse(body));
  state.SetBytesProcessed(state.iterations() * state.range(0) * 100);
}

// The least that such a batch can cost: the request's text read, base64 both ways, the cipher.
void BM_FloorOfBatchOf100(benchmark::State& state) {
  base::SystemRandom random;
  crypto::Cipher cipher(crypto::CipherKind::kAes256Gcm, random.secret(32));
  const std::string body = batch_body(static_cast<size_t>(state.range(0)));
  const std::string text =
      base::base64_encode(std::string(static_cast<size_t>(state.range(0)), 'x'));
  std::string sealed(static_cast<size_t>(state.range(0)) + 28, '\0'), out;
  for (auto _ : state) {
    benchmark::DoNotOptimize(base::Json::parse(body));
    for (int i = 0; i < 100; i++) {
      const auto plaintext = base::base64_decode(text);
      cipher.seal("123456789012", {}, *plaintext, sealed.data() + 12);
      out.clear();
      base::append_base64(out, sealed);
      benchmark::DoNotOptimize(out.data());
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * 100);
}

BENCHMARK(BM_CipherAlone)->Arg(16)->Arg(1024)->Arg(16384);
BENCHMARK(BM_Encrypt)->Arg(16)->Arg(1024)->Arg(16384);
BENCHMARK(BM_EncryptBatchOf100)->Arg(16)->Arg(1024)->Arg(16384);
BENCHMARK(BM_Decrypt);
BENCHMARK(BM_Base64);
BENCHMARK(BM_ParseBatchOf100)->Arg(1024);
BENCHMARK(BM_FloorOfBatchOf100)->Arg(1024);

}  // namespace
